import { test } from 'uvu'
import { describeHostile } from '../suites/hostile.ts'

describeHostile('worker')
test.run()
