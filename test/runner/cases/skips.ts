import { test } from 'uvu'

test.skip('needs what is not here', () => {})
test.run()
