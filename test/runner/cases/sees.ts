/** Passes only where its process was started with the variable. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const seen = process.env.SLUICE_SEEN

test('sees', () => assert.is(seen, '1'))

test.run()
