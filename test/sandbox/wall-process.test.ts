import { test } from 'uvu'
import { describeWall } from '../suites/hostile.ts'

describeWall('process')
test.run()
