import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { BELOW, buildNow, NameSetBuilder, SELF } from '../../core/blocking/name-set.ts'

interface Entry {
  readonly name: string
  readonly kinds: number
}

const label = fc.constantFrom('a', 'b', 'c', 'ads', 'Ads', 'example', 'com', 'net', 'x-y', '_sip', '1')
const name = fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => labels.join('.'))
const entry = fc.record({ name, kinds: fc.constantFrom(SELF, BELOW, SELF | BELOW) })

test('finds what a naive set finds, parents and all', () => {
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 40 }), fc.array(name, { maxLength: 40 }), (entries, asked) => {
      const set = build(entries)
      for (const host of [...asked, ...entries.map((one) => one.name), ...entries.map((one) => `www.${one.name}`)])
        assert.is(set.find(host) !== null, isIn(entries, host), host)
    }),
  )
})

test('tells who named it first, however many did', () => {
  const builder = new NameSetBuilder()
  for (const source of [7, 3, 9]) add(builder, { name: 'ads.example.com', kinds: SELF }, source)
  add(builder, { name: 'ads.example.com', kinds: BELOW }, 11)
  const set = buildNow(builder)
  assert.is(set.size, 1)
  assert.equal(set.find('ads.example.com'), { source: 7, at: 0 })
  assert.equal(set.find('a.b.ads.example.com'), { source: 7, at: 4 })
  assert.is(set.find('example.com'), null)
})

test('letters of either case and a dot at the end make no difference', () => {
  const set = build([{ name: 'Ads.Example.COM', kinds: SELF | BELOW }])
  for (const host of ['ads.example.com', 'ADS.EXAMPLE.COM', 'ads.example.com.', 'x.Ads.example.com.'])
    assert.ok(set.find(host) !== null, host)
  for (const host of ['', '.', '..', 'ads.example.com..', 'xads.example.com', 'com']) assert.is(set.find(host), null, host)
})

test('an empty set finds nothing', () => {
  const set = build([])
  assert.is(set.size, 0)
  assert.is(set.find('example.com'), null)
})

test('forty thousand names are all found, none besides, in ten bytes a slot', () => {
  const builder = new NameSetBuilder()
  for (let i = 0; i < 40_000; i++) add(builder, { name: `h${i}.d${i % 977}.example`, kinds: SELF })
  const steps = builder.build()
  let count = 0
  let step = steps.next()
  for (; step.done !== true; step = steps.next()) count++
  assert.ok(count >= 15, 'it is built in several steps')
  const set = step.value
  assert.is(set.size, 40_000)
  assert.ok(set.bytes < 40_000 * 17, `${set.bytes} bytes`)
  for (let i = 0; i < 40_000; i++) {
    assert.ok(set.find(`h${i}.d${i % 977}.example`) !== null)
    assert.ok(set.find(`h${i}.d${(i % 977) + 1}.example`) === null)
  }
})

test('lists that name the same do not take the room of all of them', () => {
  const builder = new NameSetBuilder()
  for (let source = 0; source < 5; source++) for (let i = 0; i < 10_000; i++) add(builder, { name: `h${i}.example`, kinds: SELF }, source)
  const set = buildNow(builder)
  assert.is(set.size, 10_000)
  assert.ok(set.bytes < 10_000 * 17, `${set.bytes} bytes`)
  for (let i = 0; i < 10_000; i++) assert.ok(set.find(`h${i}.example`)?.source === 0)
})

test.run()

function build(entries: readonly Entry[]) {
  const builder = new NameSetBuilder()
  for (const one of entries) add(builder, one)
  return buildNow(builder)
}

function add(builder: NameSetBuilder, { name, kinds }: Entry, source = 0): void {
  const bytes = Buffer.from(name)
  builder.add(bytes, 0, bytes.length, { kinds, source })
}

function isIn(entries: readonly Entry[], host: string): boolean {
  const asked = host.toLowerCase()
  return entries.some(({ name, kinds }) => {
    const known = name.toLowerCase()
    return ((kinds & SELF) !== 0 && asked === known) || ((kinds & BELOW) !== 0 && asked.endsWith(`.${known}`))
  })
}
