import { spawn } from 'node:child_process'
import { test } from 'uvu'

test('starts what goes on', () => spawn('sleep', ['60'], { stdio: 'ignore', detached: true }).unref())
test.run()
