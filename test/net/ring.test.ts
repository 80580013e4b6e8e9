/** What one system call a turn receives and sends, against sockets of Node on the other side. */
import { once } from 'node:events'
import { closeSync } from 'node:fs'
import { createRequire } from 'node:module'
import { setImmediate as immediate } from 'node:timers/promises'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { HandleWire } from '../../core/net/handle-wire.ts'
import { EAGAIN, getKernel } from '../../core/net/kernel.ts'
import { type Receiver, Ring } from '../../core/net/ring.ts'
import { RECEIVE_BUFFERS, RECEIVE_BYTES } from '../../core/net/ring-buffers.ts'
import type { RingMemory } from '../../core/net/ring-memory.ts'
import { Keeper, readAll } from '../support/keeper.ts'
import { type Pair, pair } from '../support/wire-pair.ts'

const kernel = getKernel()
const ring = kernel?.ring ?? null
if (ring === null) console.log('SKIPPED: this kernel has no io_uring, or it must not be asked')
if (process.env.SLUICE_RING_AFTER !== '0') throw new Error('the ring has to receive from the first read on')
const wherePossible = ring === null ? test.skip : test

wherePossible('what is written from inside of reads arrives whole and in order at a reader that is slow', () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.array(fc.record({ head: fc.nat(6000), body: fc.oneof(fc.nat(5000), fc.nat(300_000)), asText: fc.boolean() }), { maxLength: 6 }),
        { minLength: 1, maxLength: 8 },
      ),
      fc.boolean(),
      async (turns, isReadLate) => {
        await using p = await pair()
        const expected: Buffer[] = []
        let turn = 0
        p.owner.reads = () => {
          for (const [i, { head, body, asText }] of turns[turn]!.entries()) {
            const text = String.fromCharCode(65 + i).repeat(head)
            const bytes = Buffer.alloc(body, 97 + turn)
            if (asText) p.wire.writeText(text)
            // What may not be touched before it has left stays as it is here.
            else p.wire.write(text, bytes, 0, body)
            expected.push(Buffer.from(text, 'latin1'), asText ? Buffer.alloc(0) : bytes)
          }
          if (++turn === turns.length) p.wire.end()
        }
        p.wire.resume()
        const reading = isReadLate ? null : readAll(p.client)
        for (let i = 0; i < turns.length; i++) {
          p.client.write('x')
          await p.owner.waiting.until(() => (turn > i ? true : undefined), 'a turn')
        }
        const got = await (reading ?? readAll(p.client))
        const whole = Buffer.concat(expected)
        assert.is(got.length, whole.length)
        assert.ok(got.equals(whole))
      },
    ),
    { numRuns: 15 },
  ),
)

wherePossible('what has come while nobody reads is told when somebody does, in order, bulk and pieces', () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(fc.nat(300), fc.nat(60_000)), { minLength: 1, maxLength: 20 }),
      fc.boolean(),
      async (sizes, ownBuffer) => {
        await using p = await pair(ownBuffer)
        const sent = Buffer.concat(sizes.map((size, i) => Buffer.alloc(size + 1, 65 + i)))
        let reads = 0
        p.owner.reads = () => {
          if (++reads % 2 === 0) return
          const { length } = p.owner.text
          p.wire.pause()
          setImmediate(() => {
            assert.is(p.owner.text.length, length)
            p.wire.resume()
          })
        }
        p.wire.resume()
        for (const [i, size] of sizes.entries()) {
          p.client.write(Buffer.alloc(size + 1, 65 + i))
          if (i % 3 === 0) await immediate()
        }
        p.client.end()
        await p.owner.has('end')
        assert.ok(p.owner.text === sent.latin1Slice())
      },
    ),
    { numRuns: 15 },
  ),
)

wherePossible('more connections than there are buffers are all told of, though all have sent at once', async () => {
  const pairs = await Promise.all(Array.from({ length: RECEIVE_BUFFERS + 44 }, () => pair()))
  const talk = async (text: string): Promise<void> => {
    for (const { owner } of pairs) owner.text = ''
    for (const { client } of pairs) client.write(text)
    for (const { owner } of pairs) await owner.waiting.until(() => (owner.text === text ? true : undefined), text)
  }
  try {
    for (const { wire } of pairs) wire.resume()
    await immediate()
    await talk('first')
    await talk('second')
  } finally {
    for (const one of pairs) await one[Symbol.asyncDispose]()
  }
})

wherePossible('answers of one turn leave together, more of them than one submission takes', async () => {
  const pairs = await Promise.all(Array.from({ length: 150 }, () => pair()))
  try {
    for (const { wire, owner } of pairs) {
      owner.reads = (bytes) => {
        wire.writeText(bytes.latin1Slice())
        wire.writeText('!'.repeat(3000))
      }
      wire.resume()
    }
    for (const { client } of pairs) client.write('x')
    for (const { client, wire } of pairs) {
      let got = ''
      while (got.length < 3001) got += String((await once(client, 'data'))[0])
      assert.is(got, `x${'!'.repeat(3000)}`)
      assert.not(wire.congested)
    }
  } finally {
    for (const one of pairs) await one[Symbol.asyncDispose]()
  }
})

wherePossible('what was written right before the end, a close or a reset has left', async () => {
  for (const how of ['end', 'finish', 'destroy'] as const) {
    await using p = await pair()
    p.owner.reads = () => {
      p.wire.writeText('last words')
      p.wire[how]()
    }
    p.wire.resume()
    p.client.write('x')
    assert.is((await readAll(p.client)).latin1Slice(), 'last words', how)
  }
  await using p = await pair()
  p.owner.reads = () => p.wire.reset()
  p.wire.resume()
  p.client.write('x')
  const [error] = (await once(p.client, 'error')) as [NodeJS.ErrnoException]
  assert.is(error.code, 'ECONNRESET')
})

const dlopen = (path: null, symbols: object): { functions: { dup2(fd: number, as: number): number } } =>
  createRequire(import.meta.url)('node:ffi').dlopen(path, symbols)

wherePossible('what is lent stays as it is until the wire is resumed, or for good if its buffer was left', async () => {
  for (const way of ['pause', 'leave'] as const) {
    await using p = await pair(true)
    await using other = await pair()
    const lent: Buffer[] = []
    p.owner.reads = (bytes) => {
      lent.push(bytes)
      if (way === 'pause') p.wire.pause()
      else p.wire.leaveBuffer()
    }
    p.wire.resume()
    p.client.write('lent '.repeat(20))
    await p.owner.waiting.until(() => (lent.length > 0 ? true : undefined), 'a read')
    // More than all buffers are read into.
    other.wire.resume()
    for (let i = 1; i < RECEIVE_BUFFERS + 20; i++) {
      other.client.write('x'.repeat(100))
      await other.owner.waiting.until(() => (other.owner.text.length === i * 100 ? true : undefined), 'more')
    }
    assert.is(lent[0]!.latin1Slice(), 'lent '.repeat(20), way)
  }
})

// It would take what is for another.
wherePossible('a connection that is closed before it was received from leaves whoever has its number next alone', async () => {
  const { functions } = dlopen(null, { dup2: { arguments: ['int32', 'int32'], return: 'int32' } })
  await using a = await pair()
  await using b = await pair()
  const { descriptor } = a.wire
  b.client.write('for b')
  await immediate()
  a.wire.resume()
  a.wire.destroy()
  // What opening another does to the number, and it has bytes already.
  assert.is(functions.dup2(b.wire.descriptor, descriptor), descriptor)
  for (let i = 0; i < 3; i++) await immediate()
  b.wire.resume()
  await b.owner.waiting.until(() => (b.owner.text !== '' ? true : undefined), 'for b')
  assert.is(b.owner.text, 'for b')
  closeSync(descriptor)
})

wherePossible('a reset right behind bytes is told, though it came before they were read', async () => {
  for (let i = 0; i < 10; i++) {
    await using p = await pair()
    p.wire.resume()
    p.client.write('x')
    await p.owner.waiting.until(() => (p.owner.text === 'x' ? true : undefined), 'x')
    p.client.write('y')
    p.client.resetAndDestroy()
    await p.owner.has('close ECONNRESET')
    assert.is(p.owner.text, 'xy')
  }
})

wherePossible('a wire that is to be detached after all tells what has come, and leaves the rest in the socket', () =>
  fc.assert(
    fc.asyncProperty(fc.array(fc.nat(40_000), { minLength: 1, maxLength: 6 }), fc.nat(5), fc.boolean(), async (sizes, when, isAtOnce) => {
      await using p = await pair()
      p.wire.resume()
      const sent = Buffer.concat(sizes.map((size, i) => Buffer.alloc(size + 1, 65 + i)))
      for (const [i, size] of sizes.entries()) {
        p.client.write(Buffer.alloc(size + 1, 65 + i))
        if (i === when) await immediate()
      }
      assert.throws(() => p.wire.detachHandle(), /without being asked/)
      p.wire.expectDetach(true)
      const { length } = p.owner.text
      if (!isAtOnce) await immediate()
      assert.ok(p.owner.text.length >= length)
      p.wire.pause()
      const kept = p.wire.takeKept()?.latin1Slice() ?? ''
      const rest = new HandleWire(p.wire.detachHandle(), false)
      const owner = new Keeper()
      rest.owner = owner
      rest.resume()
      p.client.end()
      await owner.has('end')
      assert.ok(p.owner.text + kept + owner.text === sent.latin1Slice())
      rest.destroy()
    }),
    { numRuns: 20 },
  ),
)

wherePossible('a connection of bulk is read by itself, and by the ring again once it has calmed down', async () => {
  await using p = await pair()
  p.wire.resume()
  const bulk = Buffer.alloc(2_000_000, 'x')
  for (let i = 0; i < 2; i++) {
    const before = p.owner.text.length
    p.client.write(bulk)
    await p.owner.waiting.until(() => (p.owner.text.length === before + bulk.length ? true : undefined), 'bulk')
    for (let j = 0; j < 5; j++) {
      const { length } = p.owner.text
      p.client.write('pong')
      await p.owner.waiting.until(() => (p.owner.text.length === length + 4 ? true : undefined), 'a few bytes')
    }
  }
})

/** Until it takes no more, though its peer's libuv has read all that it wants. */
async function fill({ wire }: Pair): Promise<void> {
  const bytes = Buffer.alloc(65536, 'f')
  const pointer = kernel!.pointerTo(bytes)
  for (let unmoved = 0; unmoved < 5; ) {
    let wrote = 0
    while (kernel!.write(wire.descriptor, pointer, bytes.length) > 0) wrote++
    unmoved = wrote > 0 ? 0 : unmoved + 1
    await immediate()
  }
}

wherePossible('that a send was not taken is told although nothing else happens', async () => {
  await using p = await pair()
  await fill(p)
  // What libuv has to read is told again and again until it has.
  do {
    await immediate()
    ring!.wait(0)
  } while (ring!.serve() !== 0)
  // Room that has come since.
  const one = Buffer.from('f')
  while (kernel!.write(p.wire.descriptor, kernel!.pointerTo(one), 1) > 0);
  const told: number[] = []
  ring!.out[ring!.room(1)] = 120
  kernel!.sendSoon(p.wire.descriptor, 1, { onSent: (result) => told.push(result) })
  const began = performance.now()
  ring!.wait(20_000)
  ring!.serve()
  assert.equal(told, [-EAGAIN])
  assert.ok(performance.now() - began < 10_000)
})

wherePossible('an empty write right where there is no room any more takes none away', async () => {
  await using p = await pair()
  const sender = { onSent() {} }
  const whole = ring!.out.length / 2
  for (let i = 0; i < 2 && ring!.room(whole) < 0; i++) ring!.serve()
  for (let i = 0; i < 2; i++) {
    kernel!.sendSoon(p.wire.descriptor, whole, sender)
    kernel!.sendSoon(p.wire.descriptor, 0, sender)
    ring!.wait(0)
    ring!.serve()
    assert.not.equal(ring!.room(whole), -1)
  }
})

wherePossible('of a wire that was not detached after all no more is kept than has come at once', async () => {
  await using p = await pair()
  p.wire.expectDetach(true)
  p.wire.expectDetach(false)
  p.wire.resume()
  p.client.write('x')
  await p.owner.waiting.until(() => (p.owner.text === 'x' ? true : undefined), 'x')
  p.wire.pause()
  const piece = Buffer.alloc(1 << 20)
  for (let i = 0; i < 40; i++) {
    p.client.write(piece)
    await immediate()
  }
  for (let i = 0; i < 100; i++) await immediate()
  assert.ok(p.client.writableLength > 10 << 20)
})

wherePossible('of what comes at once while nobody reads no more than one read is kept, however much it is', async () => {
  await using p = await pair()
  p.wire.resume()
  p.client.write('x')
  await p.owner.waiting.until(() => (p.owner.text === 'x' ? true : undefined), 'x')
  p.wire.pause()
  p.client.write(Buffer.alloc(8 << 20))
  for (let i = 0; i < 50; i++) await immediate()
  let first = 0
  p.owner.reads = (bytes) => {
    if (first === 0) first = bytes.length
    p.wire.pause()
    p.owner.tell('read')
  }
  p.wire.resume()
  await p.owner.has('read')
  assert.is(first, RECEIVE_BYTES)
})

/** A kernel that does what a test says: when all of a real one's queue is full it ends receives together with bytes. */
function toldKernel() {
  const completions = new Int32Array(2 + 4 * 16)
  const [head, tail, first] = [0, 1, 2]
  const memory: RingMemory = {
    enter: (count, least) => (count === 0 && least > 0 ? -62 : count),
    entries: new Int32Array(16 * 8),
    entryMask: 7,
    submissions: new Int32Array(1),
    submissionTailAt: 0,
    completions,
    completionHeadAt: head,
    completionTailAt: tail,
    completionsAt: first,
    completionMask: 15,
    bufferRing: new ArrayBuffer(16 * RECEIVE_BUFFERS),
    pointerTo: () => 4096n,
  }
  const complete = (...words: [number: number, kind: number, result: number, flags: number]): void =>
    completions.set(words, first + 4 * (completions[tail]!++ & 15))
  return { memory, complete }
}

test('a receive that ended with its last bytes is stopped by whoever gets them', () => {
  const { memory, complete } = toldKernel()
  const told: (number | string)[] = []
  const over = new Ring(memory, 0, () => told.push('over'))
  const receiver: Receiver = {
    onReceived(_, length) {
      told.push(length)
      over.stopNow(number)
      return false
    },
    onStopped: (result) => told.push(result),
  }
  const number = over.receive(9, receiver)
  over.submit()
  complete(number, 1, 5, 1)
  over.serve()
  assert.equal(told, [5, 'over', -125])
})

test('a kernel that begins to refuse ends the process, with a word on what to do; one that is busy does not', async () => {
  const { memory } = toldKernel()
  let says = 0
  const over = new Ring({ ...memory, enter: (count, least) => says || (count === 0 && least > 0 ? -62 : count) }, 0, () => {})
  const thrown: string[] = []
  const take = (error: Error): unknown => thrown.push(error.message)
  process.on('uncaughtException', take)
  try {
    for (says of [-4, -11, -16, -62, -1]) {
      over.wait(0)
      await immediate()
    }
  } finally {
    process.off('uncaughtException', take)
  }
  assert.equal(thrown, ['io_uring_enter: EPERM (SLUICE_NO_RING=1 does without it)'])
})

wherePossible('nothing is left to do, or to wait for, when connections are gone', async () => {
  for (let i = 0; i < 5; i++) {
    const p = await pair()
    p.wire.resume()
    p.client.write('x')
    await p.owner.waiting.until(() => (p.owner.text === 'x' ? true : undefined), 'x')
    await p[Symbol.asyncDispose]()
  }
  for (let i = 0; i < 5 && ring!.isUsed; i++) await immediate()
  assert.not(ring!.isUsed)
})

test.run()
