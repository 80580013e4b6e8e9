import { test } from 'uvu'

test('takes for ever', () => new Promise(() => void setInterval(() => {}, 1_000)))
test.run()
