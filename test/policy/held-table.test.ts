/** The table of what keys hold: never more than the limit, whoever asks in between, and nothing is left of a process that died at whatever step. */
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { HELD_KEYS, HeldTable, heldBytes, NO_ROOM, REFUSED } from '../../core/policy/held-table.ts'

const SEATS = 3
const SETS = HELD_KEYS / 8

/** The tables of several processes over the same memory. */
function makeTables(memory: ArrayBufferLike = new ArrayBuffer(heldBytes(SEATS))): HeldTable[] {
  return Array.from({ length: SEATS }, (_, seat) => new HeldTable({ memory, offset: 0, seats: SEATS }, seat))
}

/** Of keys that all have the same eight places. */
const take = (table: HeldTable, key: number, limit: number): number => table.take(key + 1, 5, 1, limit)

const real = { load: Atomics.load, store: Atomics.store, compareExchange: Atomics.compareExchange, add: Atomics.add }

/** `step` is called before each access to memory. */
function stepping<T>(step: () => void, run: () => T): T {
  const stepped =
    <Args extends readonly unknown[], R>(access: (...args: Args) => R) =>
    (...args: Args): R => {
      step()
      return access(...args)
    }
  Object.assign(Atomics, {
    load: stepped(real.load as (...args: never[]) => unknown),
    store: stepped(real.store as (...args: never[]) => unknown),
    compareExchange: stepped(real.compareExchange as (...args: never[]) => unknown),
    add: stepped(real.add as (...args: never[]) => unknown),
  })
  try {
    return run()
  } finally {
    Object.assign(Atomics, real)
  }
}

test('what passes is what a plain account of each key would let pass, and who died holds nothing', () => {
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.record({ does: fc.constant('take' as const), seat: fc.nat(2), key: fc.nat(4) }) },
    { weight: 4, arbitrary: fc.record({ does: fc.constant('give back' as const), seat: fc.nat(2), key: fc.nat(4) }) },
    { weight: 1, arbitrary: fc.record({ does: fc.constant('die' as const), seat: fc.nat(2), key: fc.constant(0) }) },
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), fc.integer({ min: 1, max: 4 }), (steps, limit) => {
      const tables = makeTables()
      const held: { readonly seat: number; readonly key: number; readonly at: number }[] = []
      for (const { does, seat, key } of steps) {
        if (does === 'die') {
          tables[2 - seat]!.forget(seat)
          for (let i = held.length - 1; i >= 0; i--) if (held[i]!.seat === seat) held.splice(i, 1)
        } else if (does === 'take') {
          const at = take(tables[seat]!, key, limit)
          assert.is(at !== REFUSED, held.filter((one) => one.key === key).length < limit)
          if (at !== REFUSED) held.push({ seat, key, at })
        } else {
          const i = held.findIndex((one) => one.seat === seat && one.key === key)
          if (i >= 0) tables[seat]!.giveBack(held.splice(i, 1)[0]!.at, 1)
        }
        for (const one of held) assert.is(tables[0]!.sum(one.at), held.filter(({ key: other }) => other === one.key).length)
      }
    }),
  )
})

test('a key for which there is no place finds no room, and finds it as soon as another holds nothing', () => {
  const [one, two] = makeTables() as [HeldTable, HeldTable]
  const places = Array.from({ length: 8 }, (_, key) => take(key % 2 === 0 ? one : two, key, 9))
  assert.is(new Set(places).size, 8)
  assert.equal([take(one, 8, 9), take(two, 9, 9), take(one, 3, 9)], [NO_ROOM, NO_ROOM, places[3]])
  two.giveBack(places[5]!, 1)
  assert.equal([take(one, 8, 9), take(one, 5, 9)], [places[5], NO_ROOM])
  // Another set.
  assert.ok(one.take(1, 6, 1, 1) >= 0)
  assert.ok(one.take(1, 6 + SETS, 1, 1) === REFUSED)
})

test('of keys that hold nothing the one with the least value is replaced, and who returns finds its own', () => {
  const [one] = makeTables() as [HeldTable]
  const places = Array.from({ length: 8 }, (_, key) => take(one, key, 1))
  for (const [key, at] of places.entries()) {
    one.values[at] = BigInt(100 - key)
    one.giveBack(at, 1)
  }
  assert.equal([take(one, 0, 1), one.values[places[0]!]], [places[0], 100n])
  assert.equal([take(one, 8, 1), one.values[places[7]!]], [places[7], 0n])
})

/** What processes do while one of them is in the midst of something: which, what, with which key. */
const inBetween = fc.array(fc.record({ seat: fc.integer({ min: 1, max: 2 }), takes: fc.boolean(), key: fc.nat(2) }), { maxLength: 30 })

test('whatever others do between any two steps, no key holds more than its limit or is in two places', () => {
  const mine = fc.array(fc.record({ takes: fc.boolean(), key: fc.nat(2) }), { minLength: 1, maxLength: 12 })
  fc.assert(
    fc.property(mine, inBetween, fc.array(fc.nat(6), { minLength: 1, maxLength: 8 }), fc.nat(8), (steps, others, gaps, full) => {
      const limit = 2
      const memory = new ArrayBuffer(heldBytes(SEATS))
      const tables = makeTables(memory)
      // Most of the places are in use by others, or were: keys have to replace each other.
      for (let key = 10; key < 16; key++) {
        const at = take(tables[0]!, key, 1)
        if (key - 10 >= full) tables[0]!.giveBack(at, 1)
      }
      const held = new Map<string, number[]>()
      const run = (seat: number, takes: boolean, key: number): void => {
        const places = held.get(`${seat} ${key}`) ?? []
        held.set(`${seat} ${key}`, places)
        if (!takes) {
          const at = places.pop()
          if (at !== undefined) tables[seat]!.giveBack(at, 1)
          return
        }
        const at = take(tables[seat]!, key, limit)
        if (at < 0) return
        places.push(at)
        const all = [0, 1, 2].reduce((sum, other) => sum + (held.get(`${other} ${key}`)?.length ?? 0), 0)
        assert.ok(all <= limit, `${all} hold`)
      }
      let [accesses, next, depth] = [0, 0, 0]
      stepping(
        () => {
          if (depth > 1 || accesses++ % (gaps[next % gaps.length]! + 1) !== 0) return
          const other = others[next++]
          if (other === undefined) return
          depth++
          // Who is in the midst of something does nothing else.
          run(depth, other.takes, other.key)
          depth--
        },
        () => {
          for (const { takes, key } of steps) run(0, takes, key)
        },
      )
      const halves = new Uint32Array(memory, 0, 2 * HELD_KEYS)
      const tags = Array.from({ length: 8 }, (_, way) => halves[2 * (5 * 8 + way) + 1]!).filter((tag) => tag !== 0)
      assert.is(new Set(tags).size, tags.length)
      for (const [who, places] of held) for (const at of places) tables[Number(who[0])]!.giveBack(at, 1)
      for (let key = 0; key < 3; key++) {
        const at = take(tables[0]!, key, limit)
        assert.is(tables[0]!.sum(at), 1)
        tables[0]!.giveBack(at, 1)
      }
    }),
    { numRuns: 200 },
  )
})

test('of a process that dies before any step nothing is left, and of the others all', () => {
  class Killed extends Error {}
  const key = 1
  for (const does of ['puts', 'takes', 'gives back'] as const) {
    for (let last = 1, isOver = false; !isOver; last++) {
      const [dying, other, supervisor] = makeTables() as [HeldTable, HeldTable, HeldTable]
      const before = does === 'puts' ? [] : [take(other, key, 9), take(other, key, 9), take(dying, key, 9)]
      const unrelated = take(dying, 7, 9)
      let steps = 0
      const die = (): void => {
        if (++steps === last) throw new Killed()
      }
      try {
        stepping(die, () => (does === 'gives back' ? dying.giveBack(before[2]!, 1) : take(dying, key, 9)))
        isOver = true
      } catch (error) {
        assert.instance(error, Killed)
      }
      supervisor.forget(0)
      assert.is(other.sum(unrelated), 0)
      const room = Array.from({ length: 9 }, (_, i) => take(other, 20 + i, 1)).filter((at) => at !== NO_ROOM)
      assert.is(room.length, before.length === 0 ? 8 : 7, `${does}, before step ${last}`)
      for (const at of room) other.giveBack(at, 1)
      const at = take(other, key, 9)
      assert.is(other.sum(at), before.length === 0 ? 1 : 3, `${does}, before step ${last}`)
    }
  }
})

test('threads that share the memory never hold more than the limit together, and in the end nothing', async () => {
  const memory = new SharedArrayBuffer(heldBytes(SEATS))
  const together = new SharedArrayBuffer(4 * 12)
  const source = `
    import { parentPort, workerData } from 'node:worker_threads'
    import { HeldTable } from ${JSON.stringify(new URL('../../core/policy/held-table.ts', import.meta.url).href)}
    const { memory, seat, together } = workerData
    const table = new HeldTable({ memory, offset: 0, seats: ${SEATS} }, seat)
    const counts = new Int32Array(together)
    let [most, passed] = [0, 0]
    for (let i = 0; i < 20_000; i++) {
      // Twelve keys in eight places: they replace each other all the time.
      const key = (i * 7 + seat) % 12
      const at = table.take(key + 1, 5, 1, 1)
      if (at < 0) continue
      passed++
      most = Math.max(most, Atomics.add(counts, key, 1) + 1)
      Atomics.sub(counts, key, 1)
      table.giveBack(at, 1)
    }
    parentPort.postMessage({ most, passed })`
  const told = await Promise.all(
    [0, 1].map(
      (seat) =>
        new Promise<{ most: number; passed: number }>((resolve, reject) => {
          const url = new URL(`data:text/javascript,${encodeURIComponent(source)}`)
          const worker = new Worker(url, { workerData: { memory, seat, together } })
          worker.once('message', resolve).once('error', reject)
        }),
    ),
  )
  assert.equal([told[0]!.most, told[1]!.most], [1, 1])
  assert.ok(told.every(({ passed }) => passed > 1_000))
  const [table] = makeTables(memory) as [HeldTable]
  for (let key = 0; key < 12; key++) {
    const at = take(table, key, 1)
    assert.is(table.sum(at), 1)
    table.giveBack(at, 1)
  }
})

test.run()
