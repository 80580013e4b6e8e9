/** proxy-protocol.txt §2: headers are read whole or not at all, what is written is read back, and nothing in them throws. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { crc32c } from '../../core/net/crc32c.ts'
import { type ProxyHeader, type ProxySsl, readProxyHeader, type SocketAddress, writeProxyHeader } from '../../core/net/proxy-protocol.ts'
import { noTlvs } from '../../core/net/proxy-protocol-tlvs.ts'
import { vector } from '../support/client-hello.ts'

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')
const V4 = Buffer.from('0a0000010a0000021f9001bb', 'hex')
const told = { isLocal: false, isDatagram: false, source: { ip: '10.0.0.1', port: 8080 }, destination: { ip: '10.0.0.2', port: 443 } }
const nothing = { isLocal: true, isDatagram: false, source: null, destination: null, tlvs: noTlvs }

test('version 1: both families, and nothing known', () => {
  assert.equal(line('PROXY TCP4 10.0.0.1 10.0.0.2 8080 443'), { ...told, end: 39, tlvs: noTlvs })
  const v6 = line('PROXY TCP6 2001:DB8:0:0:0:0:0:1 ::ffff:10.0.0.2 0 65535')
  assert.equal(
    [v6.source, v6.destination],
    [
      { ip: '2001:db8::1', port: 0 },
      { ip: '10.0.0.2', port: 65_535 },
    ],
  )
  assert.equal(line('PROXY UNKNOWN'), { ...nothing, end: 15 })
  assert.equal(line('PROXY UNKNOWN ffff::1 what ever it says'), { ...nothing, end: 41 })
})

test('version 1: strict', () => {
  const wrong = [
    ...['PROXY TCP4 10.0.0.1 10.0.0.2 8080', 'PROXY TCP4 10.0.0.1 10.0.0.2 8080 443 ', 'PROXY TCP4  10.0.0.1 10.0.0.2 8080 443'],
    ...['PROXY TCP4 10.0.0.1 10.0.0.2 08080 443', 'PROXY TCP4 10.0.0.1 10.0.0.2 65536 443', 'PROXY TCP4 10.0.0.1 10.0.0.2 +1 443'],
    ...[
      'PROXY TCP4 010.0.0.1 10.0.0.2 8080 443',
      'PROXY TCP4 ::1 ::2 1 2',
      'PROXY TCP6 10.0.0.1 10.0.0.2 1 2',
      'PROXY TCP6 fe80::1%lo ::2 1 2',
    ],
    ...[
      'PROXY UDP4 10.0.0.1 10.0.0.2 1 2',
      'PROXY tcp4 10.0.0.1 10.0.0.2 1 2',
      'PROXY ',
      'PROXY UNKNOWNS',
      'PROXY TCP4 10.0.0.1\t10.0.0.2 1 2',
    ],
  ]
  for (const text of wrong) assert.is(read(Buffer.from(`${text}\r\n`, 'latin1')), 'malformed', text)
  for (const end of ['\n', '\r\r\n', '\0\r\n', ' \r'])
    assert.is(read(Buffer.from(`PROXY UNKNOWN${end}x`)), 'malformed', JSON.stringify(end))
})

test('version 1: 107 bytes at most', () => {
  const sized = (size: number): Buffer => Buffer.from(`${'PROXY UNKNOWN '.padEnd(size - 2, 'x')}\r\n`)
  assert.equal(read(sized(107)), { ...nothing, end: 107 })
  assert.is(read(sized(108)), 'malformed')
  const endless = Buffer.from('PROXY UNKNOWN '.padEnd(200, 'x'))
  assert.is(readProxyHeader(endless, 105), null)
  assert.is(readProxyHeader(endless, 106), 'malformed')
})

test('anything else is told by its first other byte', () => {
  assert.is(read(Buffer.from('G')), 'malformed')
  assert.is(read(Buffer.from('PR')), null)
  assert.is(read(Buffer.from('PRO ')), 'malformed')
  assert.is(read(Buffer.from('\r\n\r\n')), null)
  assert.is(read(Buffer.from('\r\nG')), 'malformed')
  assert.is(readProxyHeader(Buffer.from('PROXY'), 0), null)
})

test('version 2: IPv4, IPv6, datagrams and unix sockets', () => {
  assert.equal(v2(0x21, 0x11, V4), { ...told, end: 28, tlvs: noTlvs })
  assert.equal(v2(0x21, 0x12, V4), { ...told, isDatagram: true, end: 28, tlvs: noTlvs })
  const v6 = Buffer.concat([Buffer.alloc(15), Buffer.from([1]), Buffer.from('00000000000000000000ffff0a000002', 'hex'), V4.subarray(8)])
  const header = v2(0x21, 0x21, v6) as ProxyHeader
  assert.equal([header.source, header.destination, header.end], [{ ip: '::1', port: 8080 }, { ip: '10.0.0.2', port: 443 }, 52])
  const unix = { isLocal: false, source: null, destination: null, end: 232, tlvs: noTlvs }
  assert.equal(v2(0x21, 0x31, Buffer.alloc(216, '/a')), { ...unix, isDatagram: false })
  assert.equal(v2(0x21, 0x32, Buffer.alloc(216, '/a')), { ...unix, isDatagram: true })
})

test('version 2: what is local is skipped unread, what is unspecified has no addresses', () => {
  assert.equal(v2(0x20, 0x00, Buffer.alloc(0)), { ...nothing, end: 16 })
  assert.equal(v2(0x20, 0x11, V4), { ...nothing, end: 28 })
  assert.equal(v2(0x20, 0xff, Buffer.from('anything')), { ...nothing, end: 24 })
  assert.equal(v2(0x21, 0x00, tlv(2, 'a.example')), { ...nothing, end: 28, tlvs: { ...noTlvs, authority: 'a.example' } })
})

test('version 2: other versions, commands and families, and lengths that do not fit', () => {
  for (const command of [0x11, 0x31, 0x22, 0x2f]) assert.is(v2(command, 0x11, V4), 'malformed')
  for (const family of [0x10, 0x13, 0x41, 0xf1, 0x03, 0x01]) assert.is(v2(0x21, family, V4), 'malformed', family.toString(16))
  assert.is(v2(0x21, 0x11, V4.subarray(1)), 'malformed')
  assert.is(v2(0x21, 0x21, V4), 'malformed')
  assert.is(v2(0x21, 0x31, Buffer.alloc(215)), 'malformed')
  assert.is(typeof v2(0x20, 0x11, Buffer.alloc(4080)), 'object')
  const tooLong = header(0x21, 0x11, Buffer.alloc(4081))
  assert.is(readProxyHeader(tooLong, 15), null)
  assert.is(readProxyHeader(tooLong, 16), 'malformed')
})

test('TLVs: what the proxy in front knows of the connection', () => {
  const ssl = Buffer.concat([
    Buffer.from([0x07, 0, 0, 0, 0]),
    tlv(0x21, 'TLSv1.3'),
    tlv(0x22, 'Jörg'),
    tlv(0x23, 'TLS_AES_128_GCM_SHA256'),
    tlv(0x24, 'SHA256'),
    tlv(0x25, 'EC256'),
  ])
  const all = tlvs(
    tlv(1, 'h2'),
    tlv(2, 'a.example'),
    tlv(4, 'xx'),
    tlv(4, ''),
    tlv(5, '\x01\x02'),
    tlv(0x20, ssl),
    tlv(0x30, 'blue'),
    tlv(0xe0, 'ours'),
  )
  assert.equal(all, {
    ...{ alpn: 'h2', authority: 'a.example', uniqueId: Buffer.from([1, 2]), netns: 'blue' },
    ssl: {
      version: 'TLSv1.3',
      cipher: 'TLS_AES_128_GCM_SHA256',
      commonName: 'Jörg',
      signatureAlgorithm: 'SHA256',
      keyAlgorithm: 'EC256',
      verified: true,
    },
  })
})

test('TLVs: a certificate is verified if there is one and nothing is wrong with it', () => {
  const ssl = (flags: number, verify: number): ProxySsl | null | undefined => tlvs(tlv(0x20, Buffer.from([flags, 0, 0, 0, verify])))?.ssl
  assert.is(ssl(0x03, 0)?.verified, true)
  assert.is(ssl(0x05, 0)?.verified, true)
  assert.is(ssl(0x01, 0)?.verified, false)
  assert.is(ssl(0x03, 10)?.verified, false)
  assert.is(ssl(0x02, 0), null)
})

test('TLVs: cut off, repeated, no text, or with another checksum', () => {
  const wrong = [
    ...[Buffer.from([1]), Buffer.from([1, 0]), Buffer.from([1, 0, 1]), Buffer.concat([tlv(1, 'h2'), Buffer.from([4])])],
    ...[Buffer.concat([tlv(2, 'a'), tlv(2, 'b')]), tlv(2, Buffer.from([0xff])), tlv(2, 'a\r\nb'), tlv(0x30, '\0'), tlv(5, 'x'.repeat(129))],
    ...[
      tlv(0x20, Buffer.alloc(4)),
      tlv(0x20, Buffer.from([1, 0, 0, 0, 0, 0x21])),
      tlv(0x20, Buffer.concat([Buffer.alloc(5), tlv(0x22, '\x1b')])),
    ],
    ...[tlv(3, Buffer.alloc(4)), tlv(3, Buffer.alloc(3))],
  ]
  for (const bytes of wrong) assert.is(v2(0x21, 0x11, Buffer.concat([V4, bytes])), 'malformed', bytes.toString('hex'))
})

test('CRC-32C is that of RFC 3720 §B.4', () => {
  assert.is(crc32c(Buffer.from('123456789')), 0xe3069283)
  assert.is(crc32c(Buffer.alloc(32)), 0x8a9136aa)
  assert.is(crc32c(Buffer.alloc(32, 0xff)), 0x62a8ab43)
})

test('a header that was made elsewhere', () => {
  const checked = Buffer.concat([header(0x21, 0x11, Buffer.concat([V4, tlv(1, 'h2'), tlv(3, Buffer.alloc(4))]))])
  checked.writeUInt32BE(crc32c(checked), checked.length - 4)
  assert.is((read(checked) as ProxyHeader).tlvs.alpn, 'h2')
  checked[17]! ^= 1
  assert.is(read(checked), 'malformed')
})

const v4Address: fc.Arbitrary<SocketAddress> = fc.record({ ip: fc.ipV4(), port: fc.nat(65_535) })
const v6Address: fc.Arbitrary<SocketAddress> = fc.record({
  ip: fc.ipV6().filter((ip) => !ip.includes('.')),
  port: fc.nat(65_535),
})
const anyAddress = fc.oneof(v4Address, v6Address)
const name = fc.option(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }).filter((text) => !/[\0-\x1f\x7f-\x9f]/.test(text)))
const anyTls = fc.option(
  fc.record({ serverName: name, alpn: fc.constantFrom(null, 'h2', '\xff\xfe'), version: name, cipher: name, commonName: name }),
)
const anyFacts = fc.record({ source: fc.option(anyAddress), destination: fc.option(anyAddress), tls: anyTls })

test('what is written is read back, with what follows left alone', () => {
  fc.assert(
    fc.property(anyFacts, fc.constantFrom(1, 2), fc.string(), (facts, version, rest) => {
      const written = writeProxyHeader(version, facts)
      const header = read(Buffer.concat([written, Buffer.from(rest)])) as ProxyHeader
      assert.is(header.end, written.length)
      const { source, destination, tls } = facts
      const isMixed = source?.ip.includes(':') !== destination?.ip.includes(':')
      assert.is(header.isLocal, source === null || destination === null || (version === 1 && isMixed))
      if (!header.isLocal)
        assert.equal([canonical(header.source), canonical(header.destination)], [canonical(source), canonical(destination)])
      if (version === 1 || tls === null) return assert.equal(header.tlvs, noTlvs)
      const { alpn, authority, ssl } = header.tlvs
      const { serverName, ...rests } = tls
      assert.equal([authority, { alpn, version: ssl?.version, cipher: ssl?.cipher, commonName: ssl?.commonName }], [serverName, rests])
      assert.is(ssl?.verified, tls.commonName !== null)
    }),
    { numRuns: 500 },
  )
})

test('names that are no line of text, or too long, are left out', () => {
  const tls = { serverName: 'a\r\nb', alpn: null, version: 'TLSv1.3', cipher: null, commonName: 'x'.repeat(300) }
  const { tlvs } = read(writeProxyHeader(2, { source: null, destination: null, tls })) as ProxyHeader
  assert.is(tlvs.authority, null)
  assert.equal([tlvs.ssl?.version, tlvs.ssl?.commonName, tlvs.ssl?.verified], ['TLSv1.3', null, false])
})

test('every prefix needs more', () => {
  fc.assert(
    fc.property(anyFacts, fc.constantFrom(1, 2), (facts, version) => {
      const written = writeProxyHeader(version, facts)
      assert.ok([...written.keys()].every((length) => readProxyHeader(written, length) === null))
    }),
  )
})

test('whatever became of the bytes: no throw, the first answer is the last, and no other address', () => {
  const changes = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 3 })
  fc.assert(
    fc.property(anyFacts, fc.constantFrom(1, 2), changes, (facts, version, edits) => {
      const written = writeProxyHeader(version, facts)
      const bytes = Buffer.from(written)
      for (const [at, by] of edits) bytes[at % bytes.length]! ^= by
      const answers = Array.from({ length: bytes.length + 1 }, (_, length) => JSON.stringify(readProxyHeader(bytes, length)))
      const first = answers.findIndex((answer) => answer !== 'null')
      if (first >= 0) assert.ok(answers.slice(first).every((answer) => answer === answers[first]))
    }),
    { numRuns: 500 },
  )
  fc.assert(
    fc.property(anyFacts, fc.nat(), fc.integer({ min: 1, max: 255 }), (facts, at, by) => {
      const bytes = writeProxyHeader(2, facts)
      const before = read(bytes) as ProxyHeader
      bytes[13 + (at % (bytes.length - 13))]! ^= by
      const after = read(bytes)
      // A wrong length or type can hide the checksum, which is the last.
      if (after !== null && after !== 'malformed') assert.equal([after.source, after.destination], [before.source, before.destination])
    }),
    { numRuns: 500 },
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void read(Buffer.concat([header(0x21, 0x11, V4).subarray(0, 15), bytes]))),
  )
})

test.run()

function read(bytes: Buffer): ProxyHeader | null | 'malformed' {
  return readProxyHeader(bytes, bytes.length)
}

function line(text: string): ProxyHeader {
  const answer = read(Buffer.from(`${text}\r\nGET /`, 'latin1'))
  assert.is(typeof answer, 'object', text)
  return answer as ProxyHeader
}

function header(command: number, family: number, body: Buffer): Buffer {
  return Buffer.concat([SIGNATURE, Buffer.from([command, family]), vector(2, body)])
}

function v2(command: number, family: number, body: Buffer): ProxyHeader | null | 'malformed' {
  return read(Buffer.concat([header(command, family, body), Buffer.from('more')]))
}

function tlv(type: number, value: string | Buffer): Buffer {
  return Buffer.concat([Buffer.from([type]), vector(2, Buffer.from(value as string))])
}

function tlvs(...parts: readonly Buffer[]): ProxyHeader['tlvs'] | null {
  const answer = v2(0x21, 0x11, Buffer.concat([V4, ...parts]))
  return answer !== null && typeof answer === 'object' ? answer.tlvs : null
}

/** By another's hand: that of URL. */
function canonical(address: SocketAddress | null): string {
  if (address === null) return ''
  const ip = address.ip.includes(':') ? new URL(`http://[${address.ip}]`).hostname : address.ip
  const mapped = /^\[::ffff:([0-9a-f]+):([0-9a-f]+)\]$/.exec(ip)
  const plain =
    mapped === null
      ? ip
      : mapped
          .slice(1)
          .flatMap((part) => [Number.parseInt(part, 16) >> 8, Number.parseInt(part, 16) & 255])
          .join('.')
  return `${plain} ${address.port}`
}
