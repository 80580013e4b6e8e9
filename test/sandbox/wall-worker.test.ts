import { test } from 'uvu'
import { describeWall } from '../suites/hostile.ts'

describeWall('worker')
test.run()
