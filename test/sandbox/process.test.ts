import { test } from 'uvu'
import { describeSandbox } from '../suites/sandbox.ts'

describeSandbox('process')
test.run()
