import { test } from 'uvu'

test('lays a trap', () => void process.once('exit', () => process.exit(7)))
test.run()
