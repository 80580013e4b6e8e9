import { isIP } from 'node:net'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { formatListen, isIp, parseEndpoint, parseIpv4, parseIpv6, parseListen } from '../../core/net/address.ts'

test('listen addresses are read as written', () => {
  assert.equal(parseListen(8080), { kind: 'tcp', host: null, port: 8080 })
  assert.equal(parseListen('8080'), { kind: 'tcp', host: null, port: 8080 })
  assert.equal(parseListen(':8080'), { kind: 'tcp', host: null, port: 8080 })
  assert.equal(parseListen('*:8080'), { kind: 'tcp', host: null, port: 8080 })
  assert.equal(parseListen('127.0.0.1:0'), { kind: 'tcp', host: '127.0.0.1', port: 0 })
  assert.equal(parseListen('[::1]:443'), { kind: 'tcp', host: '::1', port: 443 })
  assert.equal(parseListen('localhost:80'), { kind: 'tcp', host: 'localhost', port: 80 })
  assert.equal(parseListen('unix:/run/x.sock'), { kind: 'unix', path: '/run/x.sock' })
})

test('what is no listen address is null', () => {
  for (const text of [
    '',
    ':',
    'x',
    ':65536',
    ':-1',
    ':8080/',
    '::1:8080',
    '[::1]',
    '[127.0.0.1]:1',
    'unix:',
    'http://x:1',
    '1.2.3.256:80',
    '1.2.3:80',
    'a b:1',
    80.5,
    65536,
    -1,
    Number.NaN,
  ]) {
    assert.is(parseListen(text), null, String(text))
  }
})

test('a listen address is written as it was read', () => {
  for (const text of [':8080', '127.0.0.1:1', '[::1]:443', 'unix:/run/x.sock', 'localhost:80'])
    assert.is(formatListen(parseListen(text)!), text)
})

test('endpoints are read as written', () => {
  assert.equal(parseEndpoint('127.0.0.1:3000'), {
    target: { kind: 'ip', host: '127.0.0.1', port: 3000 },
    tls: false,
    authority: '127.0.0.1:3000',
  })
  assert.equal(parseEndpoint('http://Example.com'), {
    target: { kind: 'name', host: 'example.com', port: 80 },
    tls: false,
    authority: 'example.com',
  })
  assert.equal(parseEndpoint('https://example.com/'), {
    target: { kind: 'name', host: 'example.com', port: 443 },
    tls: true,
    authority: 'example.com',
  })
  assert.equal(parseEndpoint('https://example.com:80'), {
    target: { kind: 'name', host: 'example.com', port: 80 },
    tls: true,
    authority: 'example.com:80',
  })
  assert.equal(parseEndpoint('[::1]:3000')?.target, { kind: 'ip', host: '::1', port: 3000 })
  assert.equal(parseEndpoint('http://[::1]')?.authority, '[::1]')
  assert.equal(parseEndpoint('api_1.internal:3000')?.target, { kind: 'name', host: 'api_1.internal', port: 3000 })
  assert.equal(parseEndpoint('unix:/run/x.sock')?.target, { kind: 'unix', path: '/run/x.sock' })
})

test('what is no endpoint is null', () => {
  for (const text of [
    '',
    'x',
    'x:0',
    'x:70000',
    ':80',
    'http://',
    'http://x/path',
    'http://x?q',
    'http://u@x',
    'ftp://x',
    '::1:80',
    '1.2.3.4',
    '300.1.1.1:80',
    '-x:80',
    'unix:',
    'a\r\nb:80',
  ]) {
    assert.is(parseEndpoint(text), null, text)
  }
})

test('IP literals are what node:net says they are', () => {
  const words = new Uint16Array(8)
  const part = fc.oneof(
    fc.constantFrom('', ':', '::', '.', '0', 'ffff', '1', '10', '255', '256', '01', 'g', '%e', '1.2.3.4'),
    fc.nat(70000).map(String),
  )
  const text = fc.oneof(
    fc.ipV4(),
    fc.ipV6(),
    fc.array(part, { maxLength: 10 }).map((parts) => parts.join('')),
    fc.array(part, { maxLength: 10 }).map((parts) => parts.join(':')),
  )
  fc.assert(
    fc.property(text, (ip) => {
      // node:net wants a zone of some letters; here whatever follows % is left out.
      const bare = ip.split('%')[0]!
      assert.is(parseIpv4(ip) >= 0 ? 4 : parseIpv6(ip, words) ? 6 : 0, ip.includes('%') && isIP(bare) === 4 ? 0 : isIP(bare), ip)
    }),
    { numRuns: 3000 },
  )
})

test('the words of an IPv6 address are those of its full form', () => {
  const words = new Uint16Array(8)
  assert.ok(parseIpv6('2001:db8::ff00:42:8329', words))
  assert.equal([...words], [0x2001, 0xdb8, 0, 0, 0, 0xff00, 0x42, 0x8329])
  assert.ok(parseIpv6('::ffff:1.2.3.4', words))
  assert.equal([...words], [0, 0, 0, 0, 0, 0xffff, 0x102, 0x304])
  assert.ok(parseIpv6('1::', words))
  assert.equal([...words], [1, 0, 0, 0, 0, 0, 0, 0])
  assert.ok(isIp('::'))
})

test.run()
