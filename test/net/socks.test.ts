/** Openings of SOCKS as conversations without sockets; the same in any pieces. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readPlace, SocksOpening, type SocksOptions, type SocksStep, socksReply, writePlace } from '../../core/net/socks.ts'

const ANYBODY: SocksOptions = { wantsUser: false, udp: false }
const USERS: SocksOptions = { wantsUser: true, udp: false }
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')
const ascii = (text: string): string => Buffer.from(text).toString('hex')

test('SOCKS5 to a name, with what follows it', () => {
  const said = converse(ANYBODY, hex(`05 02 00 02  05 01 00 03 0b ${ascii('example.com')} 01bb  16 03`))
  assert.equal(said, ['answer 0500', 'request 5 connect example.com:443 early 1603'])
})

test('SOCKS5 to addresses, in their canonical form', () => {
  assert.equal(converse(ANYBODY, hex('050100 05010001 c0000201 0050')), ['answer 0500', 'request 5 connect 192.0.2.1:80 early '])
  assert.equal(converse(ANYBODY, hex('050100 05010004 20010db8000000000000000000000001 0050')), [
    'answer 0500',
    'request 5 connect 2001:db8::1:80 early ',
  ])
  const mapped = converse(ANYBODY, hex('050100 05010004 00000000000000000000ffff7f000001 0050'))
  assert.equal(mapped, ['answer 0500', 'request 5 connect 127.0.0.1:80 early '])
  assert.equal(converse(ANYBODY, hex(`050100 05010003 09 ${ascii('127.0.0.1')} 0050`)), [
    'answer 0500',
    'request 5 connect 127.0.0.1:80 early ',
  ])
})

test('SOCKS5 with a name and a password', () => {
  const opening = hex(`050102 01 03 ${ascii('ann')} 02 ${ascii('pw')} 05010001 c0000201 0050`)
  assert.equal(converse(USERS, opening), ['answer 0502', 'credentials ann pw', 'sent 0100', 'request 5 connect 192.0.2.1:80 early '])
  assert.equal(converse(USERS, opening, false), ['answer 0502', 'credentials ann pw', 'sent 0101'])
})

test('names and passwords may be empty or not of ASCII: whether they are right is not decided here', () => {
  assert.equal(converse(USERS, hex('050102 01 00 00'), false), ['answer 0502', 'credentials  ', 'sent 0101'])
  assert.equal(converse(USERS, hex(`050102 01 02 ${ascii('ä')} 02 ${ascii('ö')}`), false), ['answer 0502', 'credentials ä ö', 'sent 0101'])
})

test('SOCKS4 to an address, and 4a to a name', () => {
  assert.equal(converse(ANYBODY, hex('0401 0050 c0000201 00')), ['request 4 connect 192.0.2.1:80 early '])
  assert.equal(converse(ANYBODY, hex(`0401 0050 c0000201 ${ascii('me')} 00 ff`)), ['request 4 connect 192.0.2.1:80 early ff'])
  assert.equal(converse(ANYBODY, hex(`0401 01bb 00000001 00 ${ascii('Example.com.')} 00`)), ['request 4 connect example.com:443 early '])
})

test('UDP ASSOCIATE where it is offered', () => {
  const opening = hex('050100 05030001 00000000 0000')
  assert.equal(converse({ ...ANYBODY, udp: true }, opening), ['answer 0500', 'request 5 udp from 0'])
  assert.equal(converse(ANYBODY, opening), ['answer 0500', 'refused unsupported 05070001000000000000'])
})

test('what is refused gets the answer of its version, and what is no SOCKS gets none', () => {
  const refusals: readonly (readonly [opening: string, said: string, options?: SocksOptions])[] = [
    // BIND.
    ['050100 05020001 c0000201 0050', 'refused unsupported 05070001000000000000'],
    ['0402 0050 c0000201 00', 'refused unsupported 005b000000000000'],
    // No method that is accepted.
    ['0500', 'refused unauthenticated 05ff'],
    ['050102', 'refused unauthenticated 05ff'],
    ['05020001', 'refused unauthenticated 05ff', USERS],
    ['0401 0050 c0000201 00', 'refused unauthenticated 005b000000000000', USERS],
    // Addresses.
    ['050100 05010002', 'refused unsupported 05080001000000000000'],
    ['050100 05010001 c0000201 0000', 'refused malformed 05010001000000000000'],
    ['050100 05010003 00 0050', 'refused malformed 05010001000000000000'],
    [`050100 05010003 05 ${ascii('a b.c')} 0050`, 'refused malformed 05010001000000000000'],
    [`050100 05010003 04 ${ascii('a\0.c')} 0050`, 'refused malformed 05010001000000000000'],
    [`050100 05010003 05 ${ascii('127.1')} 0050`, 'refused malformed 05010001000000000000'],
    [`050100 05010003 04 ${ascii('0x7f')} 0050`, 'refused malformed 05010001000000000000'],
    [`050100 05010003 09 ${ascii('fe80::1%1')} 0050`, 'refused malformed 05010001000000000000'],
    [`0401 0050 00000001 00 ${ascii('a b')} 00`, 'refused malformed 005b000000000000'],
    ['0401 0050 00000001 00 00', 'refused malformed 005b000000000000'],
    // Reserved.
    ['050100 05010101 c0000201 0050', 'refused malformed 05010001000000000000'],
    // Versions and commands.
    ['050100 04010001', 'refused malformed none'],
    ['050102 05', 'refused malformed none', USERS],
    ['0400', 'refused malformed none'],
    ['0403', 'refused malformed none'],
    [`${ascii('GET / HTTP/1.1')}`, 'refused malformed none'],
    ['160301', 'refused malformed none'],
    ['00', 'refused malformed none'],
    // Endless texts.
    [`0401 0050 c0000201 ${'61'.repeat(256)}`, 'refused malformed 005b000000000000'],
    [`0401 0050 00000001 00 ${'61'.repeat(256)}`, 'refused malformed 005b000000000000'],
  ]
  for (const [opening, last, options = ANYBODY] of refusals) {
    const said = converse(options, hex(opening))
    assert.is(said.at(-1), last, opening)
  }
})

test('hundreds of thousands of bytes at random, and openings with one byte changed: never more than an opening gets', () => {
  const good = [
    hex(`050102 01 03 ${ascii('ann')} 02 ${ascii('pw')} 05010003 0b ${ascii('example.com')} 01bb`),
    hex('050100 05010004 20010db8000000000000000000000001 0050'),
    hex('050100 05030001 00000000 0000'),
    hex(`0401 01bb 00000001 ${ascii('me')} 00 ${ascii('example.com')} 00`),
  ]
  const changed = fc.tuple(fc.constantFrom(...good), fc.nat(), fc.nat(255)).map(([bytes, at, byte]) => {
    const other = Buffer.from(bytes)
    other[at % other.length] = byte
    return other
  })
  const random = fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes))
  const begun = fc
    .tuple(fc.constantFrom('05', '0501', '050100', '050102 01', '04', '0401 0050'), random)
    .map(([start, rest]) => Buffer.concat([hex(start), rest]))
  const options = fc.record({ wantsUser: fc.boolean(), udp: fc.boolean() })
  fc.assert(
    fc.property(fc.oneof(changed, begun, random), options, fc.boolean(), (bytes, asked, isRight) => {
      const said = converse(asked, bytes, isRight)
      assert.ok(said.length <= 4)
      // Nobody gets through who was asked for a password and did not have it.
      const isAdmitted = said.some((one) => one.startsWith('request'))
      if (asked.wantsUser && isAdmitted) assert.ok(isRight && said.includes('sent 0100'))
      // Whoever does not begin as SOCKS does gets nothing.
      if (bytes.length > 0 && bytes[0] !== 4 && bytes[0] !== 5) assert.equal(said, ['refused malformed none'])
    }),
    { numRuns: 600 },
  )
})

test('the same in any pieces', () => {
  const openings = fc.constantFrom(
    hex(`050102 01 03 ${ascii('ann')} 02 ${ascii('pw')} 05010003 0b ${ascii('example.com')} 01bb 1603`),
    hex(`0401 01bb 00000001 ${ascii('me')} 00 ${ascii('example.com')} 00`),
    hex('050102 01 01 61 01 62 05010004 20010db8000000000000000000000001 0050'),
    hex('050102 01 01 61 01 62 05020001 00000000 0050'),
    hex('050102 01 01 61 01 62 0501000b'),
  )
  fc.assert(
    fc.property(openings, fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1 }), fc.boolean(), (bytes, sizes, wantsUser) => {
      const [parts, whole] = [converse({ wantsUser, udp: false }, bytes, true, sizes), converse({ wantsUser, udp: false }, bytes)]
      const withoutEarly = (said: readonly string[]): string[] => said.map((one) => one.replace(/early .*/, ''))
      assert.equal(withoutEarly(parts), withoutEarly(whole))
    }),
  )
})

test('places are read as they were written', () => {
  const host = fc.oneof(fc.ipV4(), fc.constantFrom('2001:db8::1', '::1', 'example.com', 'a'))
  fc.assert(
    fc.property(host, fc.nat(65535), fc.nat(3), (name, port, before) => {
      const bytes = Buffer.concat([Buffer.alloc(before), writePlace(name, port)])
      assert.equal(readPlace(bytes, before), { host: name, port, end: bytes.length })
      for (let cut = before; cut < bytes.length; cut++) assert.is(readPlace(bytes.subarray(0, cut), before), null)
    }),
  )
})

test('replies say where datagrams go, and nothing of where the proxy dials from', () => {
  assert.is(socksReply(5, 'granted').toString('hex'), '05000001000000000000')
  assert.is(socksReply(5, 'granted', { host: '::1', port: 258 }).toString('hex'), '05000004000000000000000000000000000000010102')
  assert.is(socksReply(5, 'timedOut').toString('hex'), '05060001000000000000')
  assert.is(socksReply(4, 'granted').toString('hex'), '005a000000000000')
  assert.is(socksReply(4, 'refused').toString('hex'), '005b000000000000')
})

test.run()

/** What is said of an opening that comes in pieces of these sizes, until more bytes than there are would be needed. */
function converse(options: SocksOptions, bytes: Buffer, isRight = true, sizes: readonly number[] = [Math.max(1, bytes.length)]): string[] {
  const opening = new SocksOpening(options)
  const said: string[] = []
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const end = at + sizes[i % sizes.length]!
    for (let step = opening.push(bytes.subarray(at, end)); step !== null; step = opening.next()) {
      said.push(told(step))
      if (step.kind === 'request' || step.kind === 'refused') return said
      if (step.kind !== 'credentials') continue
      said.push(`sent ${opening.verified(isRight).toString('hex')}`)
      if (!isRight) return said
    }
    at = end
  }
  return said
}

function told(step: SocksStep): string {
  switch (step.kind) {
    case 'answer':
      return `answer ${step.bytes.toString('hex')}`
    case 'credentials':
      return `credentials ${step.bytes.toString().replace(':', ' ')}`
    case 'request': {
      if (step.command === 'udp') return `request 5 udp from ${step.clientPort}`
      const { version, destination, early } = step
      return `request ${version} connect ${destination.host}:${destination.port} early ${early.toString('hex')}`
    }
    case 'refused':
      return `refused ${step.why} ${step.bytes?.toString('hex') ?? 'none'}`
  }
}
