import { test } from 'uvu'
import { describeParts } from '../suites/parts.ts'

describeParts('process')
test.run()
