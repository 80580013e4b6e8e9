/** Rates of bytes over several processes: never more than they say together, all of it, and to each its part, however their clocks tick. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Deadlines } from '../../core/deadlines.ts'
import { Counting, counterBytes, heldTableIn, seeded } from '../../core/policy/counting.ts'
import { HELD_KEYS, HeldTable, heldBytes } from '../../core/policy/held-table.ts'
import { SharedBucket } from '../../core/policy/shared-bucket.ts'
import { Shares } from '../../core/policy/shares.ts'
import { Throttle } from '../../core/policy/throttle.ts'
import { type ByteRate, TokenBucket } from '../../core/policy/token-bucket.ts'
import { turnable } from '../support/turnable.ts'

const SEATS = 8
const READ = 65_536

/** Of several processes over the same memory. */
function makeTables(count: number): HeldTable[] {
  const memory = new ArrayBuffer(heldBytes(SEATS))
  return Array.from({ length: count }, (_, seat) => new HeldTable({ memory, offset: 0, seats: SEATS }, seat))
}

const key = { upper: 1, lower: 2 }

test('alone, it is a token bucket as one of its own would be, whichever process asks', () => {
  const step = fc.record({ ms: fc.integer({ min: 0, max: 5_000 }), wanted: fc.integer({ min: 0, max: 50_000 }), seat: fc.nat(2) })
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 100_000 }),
      fc.integer({ min: 1, max: 100_000 }),
      fc.array(step),
      (bytesPerSecond, burst, steps) => {
        const rate = { bytesPerSecond, burst }
        let now = 5
        const own = new TokenBucket(rate, now)
        const buckets = makeTables(3).map((table) => SharedBucket.open(table, key, rate, 1e9)!)
        for (const { ms, wanted, seat } of steps) {
          now += ms
          const bucket = buckets[seat]!
          assert.ok(Math.abs(bucket.available(now) - own.available(now)) <= 1)
          assert.is(bucket.mayTake(now), bucket.available(now))
          assert.ok(Math.abs(bucket.waitMs(1_024, now) - own.waitMs(1_024, now)) <= 0.1 + 1_000 / bytesPerSecond)
          bucket.spend(wanted, now)
          own.spend(wanted, now)
        }
      },
    ),
  )
})

interface Process {
  /** Of its ticks, in milliseconds. */
  readonly phase: number
  readonly waiting: number
}

/** Each has so many who want as much as can be had, in turns of bytes or in whole reads; returns what each had in that time. */
function compete(processes: readonly Process[], rate: ByteRate, seconds: number, reads: boolean): number[] {
  let now = 0
  const tables = makeTables(processes.length)
  const all = processes.map(({ phase, waiting }, seat) => {
    const deadlines = new Deadlines(50, () => now)
    const throttle = new Throttle(rate, deadlines, (checked) => SharedBucket.open(tables[seat]!, key, checked, 0)!)
    const one = { phase, deadlines, throttle, bytes: 0, coming: [] as (() => void)[] }
    const spend = (bytes: number): void => {
      one.bytes += bytes
      throttle.spend(bytes)
    }
    for (let i = 0; i < waiting; i++) {
      const greedy = {
        onTurn(most: number): void {
          if (!reads) {
            spend(most)
            throttle.wait(greedy)
            return
          }
          // What it may read comes a little later, and is all that there is.
          one.coming.push(() => {
            spend(READ)
            throttle.wait(greedy)
          })
        },
      }
      throttle.wait(greedy)
    }
    return one
  })
  for (; now < seconds * 1_000; now++) {
    for (const one of all) {
      for (const come of one.coming.splice(0)) come()
      if (now % 50 === one.phase) one.deadlines.tick()
    }
    const [total, most] = [all.reduce((sum, { bytes }) => sum + bytes, 0), rate.burst + (rate.bytesPerSecond * (now + 1)) / 1_000]
    // Of whole reads each who waits may owe one.
    const owed = reads ? READ * processes.reduce((sum, { waiting }) => sum + waiting, 0) : 1
    assert.ok(total <= most + owed, `${total} of ${most} in ${now} ms`)
  }
  for (const { deadlines } of all) deadlines.stop()
  return all.map(({ bytes }) => bytes)
}

test('processes that all want more get all there is, and each its part by how many wait there, whatever the phases of their ticks', () => {
  const process = fc.record({ phase: fc.nat(49), waiting: fc.integer({ min: 1, max: 4 }) })
  const processes = fc.array(process, { minLength: 2, maxLength: 4 })
  fc.assert(
    fc.property(processes, fc.constantFrom(2_000, 50_000, 20_000_000), (given, bytesPerSecond) => {
      const seconds = 40
      const bytes = compete(given, { bytesPerSecond, burst: bytesPerSecond }, seconds, false)
      const total = bytes.reduce((sum, one) => sum + one, 0)
      assert.ok(total >= 0.93 * bytesPerSecond * seconds, `${total} bytes`)
      const waiting = given.reduce((sum, one) => sum + one.waiting, 0)
      for (const [i, one] of given.entries()) {
        const part = (total * one.waiting) / waiting
        assert.ok(Math.abs(bytes[i]! - part) <= 0.15 * part, `${bytes} of ${given.map((each) => each.waiting)}`)
      }
    }),
    { numRuns: 25 },
  )
})

test('of whole reads, which go into debt, no process is left without its part either', () => {
  for (const phases of [
    [0, 1],
    [7, 7],
    [49, 0],
    [0, 20, 21],
  ]) {
    const bytes = compete(
      phases.map((phase) => ({ phase, waiting: 1 })),
      { bytesPerSecond: 10_240, burst: 2_048 },
      400,
      true,
    )
    const total = bytes.reduce((sum, one) => sum + one, 0)
    assert.ok(total >= 0.9 * 400 * 10_240, `${total} bytes`)
    for (const one of bytes) assert.ok(Math.abs(one - total / phases.length) <= READ, `${bytes}`)
  }
})

test('while somebody waits in another process nobody overtakes, until that has ended', () => {
  const { deadlines, turn } = turnable()
  const [first, second] = makeTables(2) as [HeldTable, HeldTable]
  const throttleOf = (table: HeldTable): Throttle =>
    new Throttle({ bytesPerSecond: 1_000, burst: 1_000 }, deadlines, (rate) => SharedBucket.open(table, key, rate, 0)!)
  const [one, other] = [throttleOf(first), throttleOf(second)]
  assert.equal([one.free, other.free], [1_000, 1_000])
  one.spend(1_000)
  turn(500)
  assert.equal([one.free, other.free], [500, 500])
  other.wait({ onTurn() {} })
  assert.is(one.free, 0)
  // It is killed.
  first.forget(1)
  assert.is(one.free, 500)
  one.close()
  assert.is(first.sum(first.take(1, 2, 1, 10)), 1)
})

/** Of two workers, over memory that they share. */
function sharesOf(memory: ArrayBuffer, salt = 'test') {
  const { deadlines, turn } = turnable()
  const make = (seat: number): Shares => {
    const counting = new Counting({ shared: { memory, seats: SEATS, seat }, workers: 2 })
    return new Shares({ ratesOf: () => ({ up: null, down: 1_000, burst: 1_000 }), salt, counting, deadlines })
  }
  return { turn, shares: [make(0), make(1)] as const }
}

const sharedMemory = (): ArrayBuffer => seeded(new ArrayBuffer(counterBytes(SEATS)))

test('what a key has had is known to all workers, also when nothing of it is under way any more', () => {
  const memory = sharedMemory()
  const { turn, shares } = sharesOf(memory)
  const [one, other] = shares
  const endings: (() => void)[] = []
  const take = (from: Shares, name: string) => from.take(name, (ending) => endings.push(ending)).response!
  take(one, 'ann').spend(2_500)
  assert.equal([take(other, 'ann').free, take(other, 'bob').free], [0, 1_000])
  for (const ending of endings.splice(0)) ending()
  turn(2_000)
  assert.is(take(other, 'ann').free, 500)
  one.close()
  other.close()
  for (const ending of endings.splice(0)) ending()
  // Nothing is held.
  const table = heldTableIn(memory, SEATS, 2)
  assert.ok(Array.from({ length: HELD_KEYS }, (_, at) => table.sum(at)).every((sum) => sum === 0))
})

test('without room, and without memory that is shared, each worker lets its part through', () => {
  const memory = sharedMemory()
  const table = heldTableIn(memory, SEATS, 2)
  for (let set = 0; set < HELD_KEYS / 8; set++) for (let way = 1; way <= 8; way++) table.take(way, set, 1, 1)
  const ended = (): void => {}
  assert.is(sharesOf(memory).shares[0].take('ann', ended).response!.free, 500)
  const counting = new Counting({ shared: null, workers: 4 })
  const { deadlines } = turnable()
  const shares = new Shares({ ratesOf: () => ({ up: null, down: 1_000, burst: 1_000 }), salt: '', counting, deadlines })
  assert.is(shares.take('ann', ended).response!.free, 250)
})

test.run()
