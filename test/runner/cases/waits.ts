import { test } from 'uvu'

test('waits for what nobody does', () => new Promise(() => {}))
test.run()
