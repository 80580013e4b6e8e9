import { test } from 'uvu'

test('ends the process', () => process.exit(0))
test.run()
