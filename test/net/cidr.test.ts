import { BlockList, isIPv4 } from 'node:net'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { CidrSet, isNetwork } from '../../core/net/cidr.ts'

test('a network holds its addresses and no others', () => {
  const set = new CidrSet(['10.0.0.0/8', '192.168.1.7', 'fe80::/10', '2001:db8::1'])
  for (const ip of ['10.0.0.0', '10.255.255.255', '192.168.1.7', 'fe80::1', 'febf:ffff::', '2001:db8::1', '2001:db8:0:0::0:1'])
    assert.ok(set.has(ip), ip)
  for (const ip of ['9.255.255.255', '11.0.0.0', '192.168.1.8', 'fec0::', '2001:db8::2', '::', '0.0.0.0']) assert.not(set.has(ip), ip)
})

test('an IPv4-mapped IPv6 address is the IPv4 address it holds, in the set and in the question', () => {
  assert.ok(new CidrSet(['10.0.0.0/8']).has('::ffff:10.1.2.3'))
  assert.ok(new CidrSet(['10.0.0.0/8']).has('::FFFF:a01:203'))
  assert.ok(new CidrSet(['::ffff:10.0.0.0/104']).has('10.1.2.3'))
  assert.not(new CidrSet(['::/0']).has('10.1.2.3'))
  assert.not(new CidrSet(['::/0']).has('::ffff:10.1.2.3'))
  assert.not(new CidrSet(['0.0.0.0/0']).has('::1'))
})

test('a zone does not hide an address', () => {
  assert.ok(new CidrSet(['fe80::/10']).has('fe80::1%eth0'))
})

test('an empty set holds nothing, /0 holds everything of its family', () => {
  assert.not(new CidrSet([]).has('1.2.3.4'))
  assert.ok(new CidrSet(['0.0.0.0/0']).has('255.255.255.255'))
  assert.ok(new CidrSet(['::/0']).has('ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'))
})

test('bits behind the prefix are ignored', () => {
  assert.ok(new CidrSet(['10.1.2.3/8']).has('10.200.0.1'))
})

test('what is no network is refused, what is no address is in no set', () => {
  for (const text of [
    '',
    '10.0.0.0/33',
    '10.0.0/8',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    '::/129',
    'localhost',
    '010.0.0.1',
    '1.2.3.4/-1',
    'fe80::1%eth0/64',
  ]) {
    assert.not(isNetwork(text), text)
    assert.throws(() => new CidrSet([text]), /not a network/)
  }
  const all = new CidrSet(['0.0.0.0/0', '::/0'])
  for (const ip of [
    '',
    'unix',
    '1.2.3',
    '1.2.3.4.5',
    '1.2.3.256',
    '01.2.3.4',
    ':::',
    '1::2::3',
    '12345::',
    '1:2:3:4:5:6:7:8:9',
    '1.2.3.4 ',
    '::1.2.3',
  ]) {
    assert.not(all.has(ip), ip)
  }
})

test('agrees with net.BlockList, a family at a time', () => {
  const ip = fc.oneof(
    fc.ipV4(),
    fc.ipV6(),
    fc.ipV4().map((v4) => v4.replace(/^\d+/, '10')),
    fc.nat(0xffff).map((word) => `fe80::${word.toString(16)}`),
  )
  const network = ip.chain((address) => fc.integer({ min: 0, max: isIPv4(address) ? 32 : 128 }).map((prefix) => ({ address, prefix })))
  const isMapped = (address: string): boolean => new CidrSet(['0.0.0.0/0']).has(address) && !isIPv4(address)
  fc.assert(
    fc.property(fc.array(network, { maxLength: 12 }), fc.array(ip, { minLength: 1, maxLength: 12 }), (networks, ips) => {
      const set = new CidrSet(networks.map(({ address, prefix }) => `${address}/${prefix}`))
      const lists = { ipv4: new BlockList(), ipv6: new BlockList() }
      for (const { address, prefix } of networks) lists[family(address)].addSubnet(address, prefix, family(address))
      for (const address of [...ips, ...networks.map((one) => one.address)].filter((one) => !isMapped(one))) {
        assert.is(set.has(address), lists[family(address)].check(address, family(address)), address)
      }
    }),
    { numRuns: 500 },
  )
})

function family(address: string): 'ipv4' | 'ipv6' {
  return isIPv4(address) ? 'ipv4' : 'ipv6'
}

test.run()
