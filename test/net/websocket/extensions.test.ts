/** RFC 6455 §9.1 and RFC 7692 §7.1: offers we can read go on, the rest does not, and an answer is read or refused. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readAnswer, readableOffers } from '../../../core/net/websocket/extensions.ts'

test('offers of permessage-deflate go on in their order, all others do not', () => {
  const cases: [string, string | null][] = [
    ['permessage-deflate', 'permessage-deflate'],
    ['permessage-deflate; client_max_window_bits', 'permessage-deflate; client_max_window_bits'],
    [
      'permessage-deflate ;  client_max_window_bits = "10" ;server_no_context_takeover',
      'permessage-deflate; client_max_window_bits=10; server_no_context_takeover',
    ],
    [
      'x-webkit-deflate-frame, permessage-deflate;server_max_window_bits=8,, permessage-deflate',
      'permessage-deflate; server_max_window_bits=8, permessage-deflate',
    ],
    ['foo; a="x, permessage-deflate; y"; b, permessage-deflate', 'permessage-deflate'],
    ['permessage-deflate; mux, bbf-usp-protocol', null],
    ['permessage-deflate; server_max_window_bits', null],
    ['permessage-deflate; server_max_window_bits=7', null],
    ['permessage-deflate; server_max_window_bits=16', null],
    ['permessage-deflate; server_max_window_bits=08', null],
    ['permessage-deflate; server_no_context_takeover=1', null],
    ['permessage-deflate; client_no_context_takeover; client_no_context_takeover', null],
    ['permessage-deflate; =', null],
    ['permessage-deflate; a="', null],
    ['permessage-deflate permessage-deflate', null],
    ['', null],
    [' , ', null],
  ]
  for (const [value, expected] of cases) assert.is(readableOffers(value), expected, value)
  assert.is(readableOffers(null), null)
})

test('a field of 30,000 commas or spaces is read in one go', () => {
  const began = performance.now()
  for (const between of [',', ' ', '\t,']) {
    assert.is(readableOffers(`permessage-deflate${between.repeat(30_000 / between.length)}x=`), null)
    assert.is(readableOffers(`permessage-deflate${between.repeat(15_000)}`), 'permessage-deflate')
  }
  assert.ok(performance.now() - began < 500)
})

test('an answer says how each side compresses', () => {
  const offers = 'permessage-deflate; client_max_window_bits'
  assert.equal(readAnswer(null, offers), null)
  assert.equal(readAnswer('permessage-deflate', offers), {
    client: { windowBits: 15, takesOver: true },
    upstream: { windowBits: 15, takesOver: true },
  })
  assert.equal(readAnswer('permessage-deflate; client_max_window_bits=9; server_no_context_takeover', offers), {
    client: { windowBits: 9, takesOver: true },
    upstream: { windowBits: 15, takesOver: false },
  })
  assert.equal(readAnswer('permessage-deflate; server_max_window_bits="11"; client_no_context_takeover', offers), {
    client: { windowBits: 15, takesOver: false },
    upstream: { windowBits: 11, takesOver: true },
  })
})

test('an answer that was not offered, is two, or has what we do not know, cannot be read', () => {
  assert.is(readAnswer('permessage-deflate', null), 'unreadable')
  const wrong = [
    '',
    'x',
    'permessage-deflate, x',
    'permessage-deflate; x',
    'permessage-deflate; client_max_window_bits',
    'permessage-deflate;',
  ]
  for (const answer of wrong) assert.is(readAnswer(answer, 'permessage-deflate; client_max_window_bits'), 'unreadable', answer)
})

test.run()
