/** Wires inside a process keep the contract of net/wire.ts: order, turns, backpressure, and ends that are told once. */
import * as fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { WireOwner } from '../../core/net/wire.ts'
import { MemoryNetwork, type MemoryWire } from '../../core/testing/memory-wire.ts'

test('what is written comes out in order, whatever the pieces', () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ maxLength: 200_000, size: 'max' }), { maxLength: 8 }),
      fc.boolean(),
      async (parts, asText) => {
        const { near, far, told } = pair()
        for (const part of parts) {
          if (asText) near.writeText(Buffer.from(part).latin1Slice())
          else near.write('', Buffer.from(part), 0, part.length)
        }
        near.end()
        far.resume()
        await until(() => told.far.includes('end'))
        assert.ok(Buffer.concat(told.bytes).equals(Buffer.concat(parts)))
      },
    ),
    { numRuns: 15 },
  ))

test('nothing arrives inside the call that wrote it, nor before somebody reads', async () => {
  const { near, far, told } = pair()
  near.writeText('early')
  await turns(3)
  assert.is(told.bytes.length, 0)
  far.resume()
  assert.is(told.bytes.length, 0)
  await until(() => told.bytes.length > 0)
  far.pause()
  near.writeText('late')
  await turns(3)
  assert.is(String(Buffer.concat(told.bytes)), 'early')
})

test('a writer waits for a reader that is slow, and is told once all has been read', async () => {
  const { near, far, told } = pair()
  assert.is(near.writeText('x'.repeat(60_000)), true)
  assert.is(near.writeText('x'.repeat(60_000)), false)
  assert.is(near.congested, true)
  assert.equal(told.near, [])
  far.resume()
  await until(() => told.near.length > 0)
  assert.equal(told.near, ['drain'])
  assert.is(near.congested, false)
})

test('a wire that is destroyed lets the other read what had left, then end', async () => {
  const { near, far, told } = pair()
  near.writeText('last words')
  near.destroy()
  assert.equal(told.near, ['close'])
  far.resume()
  await until(() => told.far.includes('end'))
  assert.is(String(Buffer.concat(told.bytes)), 'last words')
  far.writeText('too late')
  await until(() => told.far.includes('close ECONNRESET'))
})

test('a reset takes everything along', async () => {
  const { near, far, told } = pair()
  far.resume()
  near.writeText('lost')
  near.reset()
  await until(() => told.far.length > 0)
  near.destroy()
  await turns(3)
  assert.equal(told.near, ['close'])
  assert.equal(told.far.at(-1), 'close ECONNRESET')
})

test('one that closes on unread bytes resets the other, as a socket does', async () => {
  const { near, far, told } = pair()
  near.writeText('unread')
  far.destroy()
  await until(() => told.near.length > 0)
  assert.equal(told.near, ['close ECONNRESET'])
})

test.run()

interface Told {
  readonly near: string[]
  readonly far: string[]
  readonly bytes: Buffer[]
}

function pair(): { near: MemoryWire; far: MemoryWire; told: Told } {
  const { near, far } = new MemoryNetwork().connect('10.0.0.1')
  const told: Told = { near: [], far: [], bytes: [] }
  const owner = (list: string[]): WireOwner => ({
    onBytes: (bytes, length) => void told.bytes.push(Buffer.from(bytes.subarray(0, length))),
    onDrain: () => void list.push('drain'),
    onEnd: () => void list.push('end'),
    onClose: (error) => void list.push(error === null ? 'close' : `close ${error}`),
  })
  near.owner = owner(told.near)
  far.owner = owner(told.far)
  return { near, far, told }
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}

async function until(isDone: () => boolean): Promise<void> {
  for (let i = 0; i < 1000 && !isDone(); i++) await turns(1)
  assert.ok(isDone(), 'it did not come')
}
