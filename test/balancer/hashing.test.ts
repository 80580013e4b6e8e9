/** Balancers of consistent hashing: shares, and what moves when endpoints come and go. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Balancer } from '../../core/balancer/balancer.ts'
import { hashText, spread } from '../../core/balancer/hash.ts'
import { maglev } from '../../core/balancer/maglev.ts'
import { ringHash } from '../../core/balancer/ring-hash.ts'
import { endpointsOf, type TestEndpoint, testBalancer } from '../suites/balancer.ts'

const KEYS = 20_000
const kinds = {
  // With 160 points each a share is off by a tenth, give or take.
  ringHash: { create: ringHash, tolerance: 0.07, moved: 0 },
  maglev: { create: maglev, tolerance: 0.02, moved: 0.04 },
}

for (const [name, { create, tolerance, moved }] of Object.entries(kinds)) {
  testBalancer(name, create, { tolerance })

  test(`${name}: the same key goes to the same endpoint, in another process too`, () => {
    const one = create(endpointsOf([1, 2, 3]))
    const other = create(endpointsOf([1, 2, 3]))
    for (let i = 0; i < 100; i++) assert.is(one.pick(null, spread(i)), other.pick(null, spread(i)))
  })

  test(`${name}: when one of ten leaves, its tenth moves, and of the rest ${moved === 0 ? 'nothing' : 'little'}`, () => {
    const all = endpointsOf(Array.from({ length: 10 }, () => 1))
    const without = all.filter((_, i) => i !== 4)
    const before = owners(create(all), all)
    const after = owners(create(without), without)
    const itsOwn = before.filter((address) => address === all[4]!.address).length
    const others = before.filter((address, i) => address !== all[4]!.address && address !== after[i]).length
    assert.ok(Math.abs(itsOwn / KEYS - 0.1) < 0.03, `${itsOwn} were its own`)
    assert.ok(others / KEYS <= moved, `${others} of the others moved`)
  })

  test(`${name}: while one is away its keys go to many others, and come back to it`, () => {
    const all = endpointsOf(Array.from({ length: 10 }, () => 1))
    const balancer = create(all)
    const before = owners(balancer, all)
    const during = owners(balancer, all, (index) => index !== 4)
    const taken = new Set(during.filter((_, i) => before[i] === all[4]!.address))
    assert.ok(taken.size >= 8, `${taken.size} took over`)
    assert.not(before.some((address, i) => address !== all[4]!.address && address !== during[i]))
    assert.equal(owners(balancer, all), before)
  })

  test(`${name}: the order in which endpoints are written decides nothing`, () => {
    const all = endpointsOf([1, 1, 1, 1])
    const turned = all.toReversed()
    assert.equal(owners(create(all), all), owners(create(turned), turned))
  })

  test(`${name}: a thousand endpoints, one of them very heavy`, () => {
    const all = endpointsOf(Array.from({ length: 1000 }, (_, i) => (i === 7 ? 1000 : 1)))
    const heavy = owners(create(all), all).filter((address) => address === all[7]!.address).length
    assert.ok(Math.abs(heavy / KEYS - 1000 / 1999) < 0.03, String(heavy))
  })
}

test('hashes of text are those of MurmurHash3 over UTF-16', () => {
  // By the reference implementation, of the bytes in little-endian order.
  assert.is(hashText(''), 0)
  assert.is(hashText('a'), 0x6f49d11a)
  assert.is(hashText('hello'), 0xd7c31989)
})

test('keys that are nearly the same fall apart', () => {
  const buckets = new Array<number>(16).fill(0)
  for (let i = 0; i < 16_000; i++) buckets[hashText(`10.0.${i >> 8}.${i & 255}`) >>> 28]!++
  for (const bucket of buckets) assert.ok(Math.abs(bucket - 1000) < 150, String(buckets))
})

function owners(balancer: Balancer, endpoints: readonly TestEndpoint[], isAvailable: ((index: number) => boolean) | null = null): string[] {
  return Array.from({ length: KEYS }, (_, i) => endpoints[balancer.pick(isAvailable, spread(i))]!.address)
}

test.run()
