import { test } from 'uvu'
import { describeHostileParts } from '../suites/hostile.ts'

describeHostileParts('worker')
test.run()
