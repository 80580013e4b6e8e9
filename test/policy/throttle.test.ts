/** Rates of bytes: never more than they say, shared fairly, and nothing lost or out of order by waiting. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { nobody } from '../../core/net/wire.ts'
import { PacedDatagrams } from '../../core/policy/paced-datagrams.ts'
import { PacedPieces } from '../../core/policy/paced-pieces.ts'
import { PacedWire } from '../../core/policy/paced-wire.ts'
import { Throttle } from '../../core/policy/throttle.ts'
import { TokenBucket } from '../../core/policy/token-bucket.ts'
import { MemoryNetwork } from '../../core/testing/memory-wire.ts'
import { turnable } from '../support/turnable.ts'

test('no more passes than the burst and what the time has brought since', () => {
  const step = fc.record({ ms: fc.integer({ min: 0, max: 5_000 }), wanted: fc.integer({ min: 0, max: 50_000 }) })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 100_000 }), fc.integer({ min: 1, max: 100_000 }), fc.array(step), (rate, burst, steps) => {
      let [now, passed] = [0, 0]
      const bucket = new TokenBucket({ bytesPerSecond: rate, burst }, now)
      for (const { ms, wanted } of steps) {
        now += ms
        const may = Math.min(wanted, bucket.available(now))
        bucket.spend(may, now)
        passed += may
        assert.ok(passed <= burst + (rate * now) / 1000 + 1e-6)
      }
      bucket.spend(rate, now)
      const wait = bucket.waitMs(1, now)
      if (wait > 0) assert.is(bucket.available(now + wait * 0.99 - 1e-3), 0)
      assert.ok(bucket.available(now + wait + 1e-3) >= 1)
    }),
  )
})

test('what passed beyond what there was is owed, and a clock that goes back brings nothing', () => {
  const bucket = new TokenBucket({ bytesPerSecond: 1000, burst: 500 }, 0)
  bucket.spend(2_500, 0)
  assert.equal([bucket.available(1_000), bucket.waitMs(1, 1_000), bucket.available(2_000), bucket.waitMs(1, 2_001)], [0, 1_001, 0, 0])
  assert.equal([bucket.available(1_000), bucket.available(2_100), bucket.isUnused(2_500), bucket.isUnused(2_499)], [1, 100, true, true])
})

/** Somebody who wants as much as can be had. */
function greedy(throttle: Throttle) {
  const one = {
    bytes: 0,
    onTurn(most: number): void {
      one.bytes += most
      throttle.spend(most)
      throttle.wait(one)
    },
  }
  throttle.wait(one)
  return one
}

test('who waits gets the same as the others, and nobody overtakes', () => {
  const { deadlines, turn } = turnable()
  const throttle = new Throttle({ bytesPerSecond: 100_000, burst: 0 }, deadlines)
  const all = Array.from({ length: 7 }, () => greedy(throttle))
  assert.is(throttle.free, 0)
  for (let i = 0; i < 100; i++) turn(100)
  const sum = all.reduce((total, { bytes }) => total + bytes, 0)
  assert.ok(sum > 990_000 && sum <= 1_020_000, String(sum))
  for (const { bytes } of all) assert.ok(Math.abs(bytes - sum / 7) <= 16_384, `${bytes} of ${sum}`)
  for (const one of all) throttle.leave(one)
  assert.is(throttle.slot, -1)
  turn(1_000)
  assert.equal([throttle.free, throttle.isUnused], [20_000, true])
})

test('a turn that is of no use to anybody goes by', () => {
  const { deadlines, turn } = turnable()
  const throttle = new Throttle({ bytesPerSecond: 1000, burst: 1000 }, deadlines)
  let turns = 0
  const stubborn = {
    onTurn(): void {
      turns++
      throttle.wait(stubborn)
    },
  }
  throttle.wait(stubborn)
  turn(100)
  assert.is(turns, 1)
  throttle.leave(stubborn)
})

test('pieces pass whole and in order, however they are cut, held up and taken', () => {
  const piece = fc.record({ text: fc.integer({ min: 0, max: 300 }), size: fc.integer({ min: 0, max: 9_000 }), flows: fc.boolean() })
  fc.assert(
    fc.property(fc.array(piece, { minLength: 1, maxLength: 20 }), fc.integer({ min: 500, max: 20_000 }), (given, rate) => {
      const { deadlines, turn } = turnable()
      const throttles = [rate, rate * 2].map((bytesPerSecond) => new Throttle({ bytesPerSecond, burst: rate }, deadlines))
      const went: Buffer[] = []
      let [writes, emptied] = [0, 0]
      const pieces = new PacedPieces({
        throttles,
        write(text, bytes, from, to) {
          went.push(Buffer.from(text, 'latin1'), Buffer.from(bytes.subarray(from, to)))
          return given[writes++ % given.length]!.flows
        },
        flush: () => true,
        emptied: () => emptied++,
      })
      const sent: Buffer[] = []
      for (const [i, { text, size }] of given.entries()) {
        const bytes = Buffer.alloc(size + 2, i + 1)
        sent.push(Buffer.alloc(text, 'x'), bytes.subarray(1, size + 1))
        const before = emptied
        if (pieces.push('x'.repeat(text), bytes, 1, size + 1)) continue
        for (let turns = 0; emptied === before; turns++) {
          assert.ok(turns < 3_000)
          if (pieces.holds && !pieces.waits) pieces.drained()
          else {
            pieces.drained()
            turn(50)
          }
        }
        assert.equal([emptied, pieces.holds], [before + 1, false])
      }
      assert.ok(Buffer.concat(went).equals(Buffer.concat(sent)))
      assert.equal([throttles[0]!.slot, throttles[1]!.slot], [-1, -1])
    }),
    { numRuns: 40 },
  )
})

test('datagrams pass whole and in order, no more than there is room for wait, and what is dropped is the newest', () => {
  const size = fc.integer({ min: 0, max: 9_000 })
  const step = fc.record({ sizes: fc.array(size, { maxLength: 40 }), ms: fc.integer({ min: 0, max: 400 }) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), fc.integer({ min: 500, max: 100_000 }), (steps, rate) => {
      const { deadlines, turn } = turnable()
      const throttle = new Throttle({ bytesPerSecond: rate, burst: rate }, deadlines)
      const went: number[] = []
      const accepted: number[] = []
      let [bytes, elapsed, number] = [0, 0, 0]
      const send = ({ n, payload }: { readonly n: number; readonly payload: Buffer }): void => {
        went.push(n)
        bytes += payload.length
      }
      const paced = new PacedDatagrams(throttle, send)
      for (const { sizes, ms } of steps) {
        for (const length of sizes) {
          const datagram = { n: number++, payload: Buffer.alloc(length) }
          if (paced.passes(length)) send(datagram)
          else if (!paced.hold(datagram)) continue
          accepted.push(datagram.n)
        }
        assert.ok(accepted.length - went.length <= 64)
        turn(ms)
        elapsed += ms
        // One may go into debt.
        assert.ok(bytes <= rate + (rate * elapsed) / 1_000 + 9_000, `${bytes} in ${elapsed} ms`)
      }
      for (let i = 0; i < 5_000 && went.length < accepted.length; i++) turn(50)
      assert.equal(went, accepted)
      assert.is(throttle.slot, -1)
    }),
    { numRuns: 50 },
  )
})

test('of datagrams 64, or 64 KiB, wait, and none once their client is gone', () => {
  const { deadlines, turn } = turnable()
  for (const [length, most] of [
    [0, 64],
    [10, 64],
    [1_400, 46],
    [65_507, 1],
  ] as const) {
    const throttle = new Throttle({ bytesPerSecond: 1_000, burst: 1_000 }, deadlines)
    throttle.spend(1_000)
    let sent = 0
    const paced = new PacedDatagrams(throttle, () => sent++)
    const held = Array.from({ length: 100 }, () => !paced.passes(length) && paced.hold({ payload: Buffer.alloc(length) }))
    assert.is(held.filter(Boolean).length, most)
    paced.close()
    turn(60_000)
    assert.equal([sent, throttle.slot], [0, -1])
  }
})

/** A wire with what waits behind it, and what its owner was told. */
function pacedWire(rate: number) {
  const { deadlines, turn } = turnable()
  const { near, far } = new MemoryNetwork().connect('10.0.0.1')
  const make = (): Throttle => new Throttle({ bytesPerSecond: rate, burst: rate }, deadlines)
  const wire = new PacedWire(near, { read: [make()], write: [make()] })
  const told: string[] = []
  let [came, arrived] = [0, 0]
  wire.owner = {
    onBytes: (_, length) => {
      came += length
    },
    onDrain: () => told.push('drain'),
    onEnd: () => told.push('end'),
    onClose: (error) => told.push(`close ${error}`),
  }
  far.owner = { ...nobody, onBytes: (_, length) => (arrived += length), onEnd: () => told.push('far end') }
  far.resume()
  const turns = async (): Promise<void> => {
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve))
  }
  const later = async (ms: number): Promise<void> => {
    await turns()
    for (let i = 0; i < ms; i += 50) {
      turn(50)
      await turns()
    }
  }
  return { wire, far, told, later, came: () => came, arrived: () => arrived }
}

test('what a peer said before it closed still goes on, and then the close is told', async () => {
  const { wire, far, told, later, came } = pacedWire(1_000)
  wire.resume()
  far.write('', Buffer.alloc(3_000), 0, 3_000)
  far.end()
  await later(50)
  assert.ok(came() >= 1_000 && came() <= 1_100, String(came()))
  await later(1_000)
  assert.equal([came() < 2_200, told], [true, []])
  await later(1_500)
  assert.equal([came(), told], [3_000, ['end']])
  wire.destroy()
  assert.equal(told, ['end', 'close null'])
})

test('what is written leaves in time, and the end behind it', async () => {
  const { wire, told, later, arrived } = pacedWire(1_000)
  assert.is(wire.write('ab', Buffer.alloc(2_998), 0, 2_998), false)
  assert.is(wire.congested, true)
  wire.end()
  await later(100)
  assert.ok(arrived() >= 1_000 && arrived() <= 1_200, String(arrived()))
  await later(2_500)
  assert.equal([arrived(), told], [3_000, ['drain', 'far end']])
  assert.is(wire.congested, false)
})

test('a wire whose owner does not want more holds no turn', async () => {
  const { wire, far, later, came } = pacedWire(1_000)
  wire.resume()
  far.write('', Buffer.alloc(3_000), 0, 3_000)
  await later(50)
  const before = came()
  wire.pause()
  await later(3_000)
  assert.is(came(), before)
  wire.resume()
  await later(50)
  assert.ok(came() >= before + 1_000, String(came()))
  wire.reset()
})

test.run()
