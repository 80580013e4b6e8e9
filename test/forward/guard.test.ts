/** The guard on dialled addresses: whatever leads to the machine itself, its links or its cloud is refused, however it is spelt. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { embeddedIpv4, isLoopbackAddress, makeGuard } from '../../core/forward/guard.ts'
import { OwnAddresses } from '../../core/forward/own-addresses.ts'
import { OwnListeners } from '../../core/forward/own-listeners.ts'
import { formatIpv4 } from '../../core/net/address.ts'
import { CidrSet } from '../../core/net/cidr.ts'

const own = new OwnAddresses(() => ['192.0.2.10', '2001:db8::10', 'fe80::1%eth0'])
const guard = makeGuard({ opened: null, isOwn: (address) => own.has(address), listens: (_, port) => port === 3128 })

test('refuses what is local, in every form that is dialled', () => {
  const refused = [
    ...['0.0.0.0', '0.1.2.3', '127.0.0.1', '127.255.255.255', '169.254.169.254', '169.254.1.1', '224.0.0.1', '255.255.255.255'],
    ...['100.100.100.200', '192.0.0.192', '168.63.129.16', 'fd00:ec2::254', 'fd20:ce::254'],
    ...['::', '::1', 'fe80::1', 'fe80::1%eth0', 'febf::1', 'fec0::1', 'ff02::1'],
    // The same behind IPv4-mapped, IPv4-compatible, NAT64, 6to4, Teredo and ISATAP addresses.
    ...['::ffff:127.0.0.1', '::ffff:7f00:1', '::127.0.0.1', '64:ff9b::7f00:1', '64:ff9b::169.254.169.254', '64:ff9b:1::7f00:1'],
    ...['2002:7f00:1::', '2001:0:53aa:64c:0:1:80ff:fffe', 'fd00::5efe:7f00:1', 'fd00::200:5efe:7f00:1', '::ffff:0:7f00:1'],
    // This machine's own.
    ...['192.0.2.10', '::ffff:192.0.2.10', '2001:db8::10', '2001:0db8:0:0::10', '64:ff9b::192.0.2.10'],
  ]
  for (const address of refused) assert.type(guard(address, 443), 'string', address)
})

test('lets everything else through, private networks too', () => {
  for (const address of [
    '10.0.0.1',
    '192.168.1.1',
    '1.1.1.1',
    '192.0.2.11',
    '2606:4700::1',
    'fd00::1',
    '64:ff9b::8.8.8.8',
    '2002:808:808::',
  ])
    assert.is(guard(address, 443), null, address)
})

test('says what an address is', () => {
  assert.is(guard('127.0.0.1', 443), '127.0.0.1 is loopback')
  assert.is(guard('64:ff9b::7f00:1', 443), '64:ff9b::7f00:1 leads to 127.0.0.1, which is loopback')
  assert.is(guard('192.0.2.10', 443), "192.0.2.10 is one of this machine's own")
})

test('what allow.networks names is open, and nothing beside it', () => {
  const opened = makeGuard({
    opened: new CidrSet(['127.0.0.1', '192.0.2.10']),
    isOwn: (address) => own.has(address),
    listens: (_, port) => port === 3128,
  })
  for (const address of ['127.0.0.1', '::ffff:127.0.0.1', '192.0.2.10']) assert.is(opened(address, 443), null, address)
  for (const address of ['127.0.0.2', '::1', '64:ff9b::7f00:1', '169.254.169.254']) assert.type(opened(address, 443), 'string', address)
})

test('where this proxy itself takes clients nothing opens, by none of the ways to there', () => {
  const listeners = new OwnListeners(
    (address) => isLoopbackAddress(address) || own.has(address),
    () => [{ host: '127.0.0.1', port: 40_001 }],
  )
  listeners.use([
    { host: null, port: 3128 },
    { host: '192.0.2.10', port: 1080 },
    { host: '::', port: 1081 },
    { host: '127.0.0.1', port: 0 },
  ])
  const opened = makeGuard({
    opened: new CidrSet(['0.0.0.0/0', '::/0']),
    isOwn: (address) => own.has(address),
    listens: (address, port) => listeners.has(address, port),
  })
  const isSelf = (address: string, port: number): boolean => opened(address, port, true) !== null
  for (const address of [
    '127.0.0.1',
    '127.9.9.9',
    '::1',
    '0.0.0.0',
    '192.0.2.10',
    '2001:db8::10',
    '::ffff:127.0.0.1',
    '64:ff9b::192.0.2.10',
  ])
    assert.equal([isSelf(address, 3128), isSelf(address, 1081), isSelf(address, 443)], [true, true, false], address)
  assert.equal([isSelf('192.0.2.10', 1080), isSelf('127.0.0.1', 1080), isSelf('192.0.2.11', 3128)], [true, false, false])
  assert.equal([isSelf('127.0.0.1', 40_001), isSelf('127.0.0.2', 40_001), isSelf('127.0.0.1', 0)], [true, false, true])
  assert.is(opened('127.0.0.1', 3128), '127.0.0.1 at port 3128 is this proxy itself')
})

test('every IPv4 address is judged alike in all forms that hold one', () => {
  fc.assert(
    fc.property(fc.nat(0xffffffff), (number) => {
      const v4 = formatIpv4(number)
      const [high, low] = [(number >>> 16).toString(16), (number & 0xffff).toString(16)]
      const [notHigh, notLow] = [((number >>> 16) ^ 0xffff).toString(16), ((number & 0xffff) ^ 0xffff).toString(16)]
      const forms = [`64:ff9b::${v4}`, `2002:${high}:${low}::1`, `2001:0:1:2:3:4:${notHigh}:${notLow}`, `fd00::5efe:${high}:${low}`]
      for (const form of forms) {
        assert.is(embeddedIpv4(form), v4, form)
        assert.is(guard(form, 443) === null, guard(v4, 443) === null, form)
      }
      assert.is(guard(`::ffff:${high}:${low}`, 443) === null, guard(v4, 443) === null)
    }),
  )
})

test('interfaces that come up later are known, and are not read for each address', () => {
  let [now, reads] = [0, 0]
  const interfaces = ['10.0.0.1']
  const addresses = new OwnAddresses(
    () => {
      reads++
      return [...interfaces]
    },
    () => now,
  )
  assert.ok(addresses.has('10.0.0.1'))
  assert.not(addresses.has('10.0.0.2'))
  assert.is(reads, 1)
  interfaces.push('10.0.0.2')
  now = 5_000
  assert.ok(addresses.has('10.0.0.2'))
  assert.is(reads, 2)
})

test.run()
