import { test } from 'uvu'

test('passes', () => {})
test('passes, too', async () => {
  await new Promise(setImmediate)
})
test.run()
