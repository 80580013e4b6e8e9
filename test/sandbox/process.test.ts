import { test } from 'uvu'
import { describeParts } from '../suites/parts.ts'
import { describeSandbox } from '../suites/sandbox.ts'

describeSandbox('process')
describeParts('process')
test.run()
