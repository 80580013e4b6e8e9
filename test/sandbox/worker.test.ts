import { test } from 'uvu'
import { describeSandbox } from '../suites/sandbox.ts'

describeSandbox('worker')
test.run()
