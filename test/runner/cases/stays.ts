import { test } from 'uvu'

test('leaves something open', () => void setInterval(() => {}, 1_000))
test.run()
