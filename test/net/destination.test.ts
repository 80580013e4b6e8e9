/** Destinations as clients name them: one form for one place, and nothing that two readers could take for two. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { formatDestination, makeDestination, parseDestination } from '../../core/net/destination.ts'

test('reads names and addresses with their port, in one form each', () => {
  const forms: readonly (readonly [string, string])[] = [
    ['example.com:443', 'name example.com:443'],
    ['EXAMPLE.Com.:443', 'name example.com:443'],
    ['xn--bcher-kva.example:1', 'name xn--bcher-kva.example:1'],
    ['192.0.2.1:65535', 'ip 192.0.2.1:65535'],
    ['[2001:DB8:0:0::1]:443', 'ip [2001:db8::1]:443'],
    ['[::ffff:127.0.0.1]:443', 'ip 127.0.0.1:443'],
    ['[::ffff:7f00:1]:443', 'ip 127.0.0.1:443'],
  ]
  for (const [written, form] of forms) {
    const destination = parseDestination(written, null)!
    assert.is(`${destination.kind} ${formatDestination(destination)}`, form, written)
  }
  assert.is(formatDestination(parseDestination('example.com', 80)!), 'example.com:80')
})

test('refuses what is no place, or more than one', () => {
  const wrong = [
    ...['', ':443', 'example.com', 'example.com:', 'example.com:0', 'example.com:65536', 'example.com:4 3', 'example.com:+443'],
    ...['a@example.com:443', 'user:pw@example.com:443', 'http://example.com:443', 'example.com:443/', 'example.com:443:443'],
    ...['[::1]', '[::1', '::1:443', '[fe80::1%25eth0]:443', '[fe80::1%eth0]:443', '[127.0.0.1]:443', '[::g]:443', '[]:443'],
    // What some resolvers take for 127.0.0.1.
    ...['127.1:443', '2130706433:443', '0x7f000001:443', '0x7f.1:443', '0177.0.0.1:443', '127.0.0.1.:443', '1.2.3.4.5:443', 'a.0x:443'],
    ...['-a.example:443', 'a..b:443', '.example:443', 'exa mple:443', 'exämple:443', `${'a'.repeat(64)}.example:443`, '*.example.com:443'],
  ]
  for (const one of wrong) assert.is(parseDestination(one, null), null, one)
  for (const port of [0, -1, 65536, 1.5, Number.NaN]) assert.is(makeDestination('example.com', port), null)
})

test('what it makes, it reads again as the same', () => {
  const host = fc.oneof(
    fc.domain(),
    fc.ipV4(),
    fc.ipV6().map((ip) => `[${ip}]`),
  )
  fc.assert(
    fc.property(host, fc.integer({ min: 1, max: 65535 }), (name, port) => {
      const destination = parseDestination(`${name}:${port}`, null)
      fc.pre(destination !== null)
      assert.equal(parseDestination(formatDestination(destination!), null), destination)
      assert.equal(makeDestination(destination!.host, port), destination)
    }),
  )
})

test.run()
