/**
 * The relay between two wires in memory: whatever is said on both sides at once, however it is cut, compressed and answered by hooks,
 * each side reads what the hooks made of it, in order; and in the end all is closed and let go, once.
 */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { MessageRelay } from '../../core/connection/message-relay.ts'
import { Deadlines } from '../../core/deadlines.ts'
import { type Answer, type Hook, type HookCall, type MessagePart, makeHook, PENDING, type Verdict } from '../../core/hooks.ts'
import { RequestHead } from '../../core/net/http1/head.ts'
import { MemoryNetwork, type MemoryWire } from '../../core/testing/memory-wire.ts'
import { within } from '../support/deadline.ts'
import { CLIENT_KEY, frame, readFrames, StreamDeflate } from '../support/websocket.ts'

const request = new RequestHead('', 0, 'GET', 1)

interface Said {
  readonly text: string
  readonly fragments: number
  readonly isDeflated: boolean
}

/** What a hook does with the messages it is asked about, in turn. */
type Habit = 'passes' | 'passes later' | 'rewrites' | 'rewrites later'

function habitual(name: string, habits: readonly Habit[], log: string[]): Hook {
  let asked = 0
  const onMessage = (call: HookCall): Answer => {
    const habit = habits[asked++ % habits.length]!
    const { bytes } = call.part as MessagePart
    const verdict: Verdict | null = habit.startsWith('passes')
      ? null
      : { kind: 'bytes', bytes: Buffer.concat([bytes, Buffer.from(name)]), isText: true }
    if (!habit.endsWith('later')) return verdict
    setImmediate(() => call.resume(verdict))
    return PENDING
  }
  return makeHook(name, {
    onMessage,
    hold: () => void log.push('hold'),
    release: () => void log.push('release'),
    forget: () => void log.push('forget'),
  })
}

/** All frames of one side, cut into pieces of a few bytes or a few thousand. */
async function piecesOf(
  said: readonly Said[],
  { isClient, takesOver, pieces }: { isClient: boolean; takesOver: boolean; pieces: readonly number[] },
) {
  const key = isClient ? CLIENT_KEY : null
  let deflate = new StreamDeflate()
  const frames: Buffer[] = []
  for (const { text, fragments, isDeflated } of said) {
    const payload = isDeflated ? await deflate.deflate(text) : Buffer.from(text)
    if (!takesOver) {
      deflate[Symbol.dispose]()
      deflate = new StreamDeflate()
    }
    const size = Math.ceil(payload.length / fragments) || 1
    for (let at = 0; at === 0 || at < payload.length; at += size) {
      const [first, last] = [at === 0, at + size >= payload.length]
      const reserved = first && isDeflated ? 4 : 0
      frames.push(frame(payload.subarray(at, at + size), { opcode: first ? 1 : 0, fin: last, reserved, key }))
    }
  }
  deflate[Symbol.dispose]()
  const all = Buffer.concat(frames)
  const cut: Buffer[] = []
  for (let at = 0; at < all.length; at += cut.at(-1)!.length) cut.push(all.subarray(at, at + pieces[cut.length % pieces.length]!))
  return cut
}

/** Writes as fast as it is taken, then ends; resolves with all bytes that came once the other side has ended too. */
function talk(wire: MemoryWire, pieces: readonly Buffer[]): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const came: Buffer[] = []
    let next = 0
    const write = (): void => {
      while (next < pieces.length && !wire.congested) {
        const piece = pieces[next++]!
        wire.write('', piece, 0, piece.length)
      }
      if (next === pieces.length) wire.end()
    }
    wire.owner = {
      onBytes: (bytes, length) => void came.push(Buffer.from(bytes.subarray(0, length))),
      onDrain: write,
      onEnd: () => resolve(Buffer.concat(came)),
      onClose: (error) => (error === null ? undefined : reject(new Error(error))),
    }
    wire.resume()
    write()
  })
}

async function textsOf(bytes: Buffer, { isClient, takesOver }: { isClient: boolean; takesOver: boolean }): Promise<string[]> {
  const { frames, rest } = readFrames(bytes)
  assert.is(rest.length, 0)
  let inflate = new StreamDeflate()
  const texts: string[] = []
  for (const { opcode, fin, masked, reserved, payload } of frames) {
    assert.equal([opcode, fin, masked], [1, true, !isClient])
    texts.push((reserved === 4 ? await inflate.inflate(payload) : payload).toString())
    if (takesOver) continue
    inflate[Symbol.dispose]()
    inflate = new StreamDeflate()
  }
  inflate[Symbol.dispose]()
  return texts
}

const said = fc.array(
  fc.record({
    text: fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc.nat(60).map((n) => 'some words, again and again. '.repeat(n * 40)),
    ),
    fragments: fc.integer({ min: 1, max: 4 }),
    isDeflated: fc.boolean(),
  }),
  { maxLength: 12 },
)
const habits = fc.array(fc.constantFrom<Habit>('passes', 'passes', 'passes later', 'rewrites', 'rewrites later'), {
  minLength: 1,
  maxLength: 5,
})
/** One of them large: a megabyte byte by byte takes long, and finds nothing more. */
const pieces = fc.array(fc.integer({ min: 1, max: 20_000 }), { maxLength: 7 }).map((sizes) => [...sizes, 20_000])

for (const deflate of ['none', 'takes over', 'forgets'] as const) {
  test(`both sides at once: each reads all of the other, in order (compression: ${deflate})`, async () => {
    const takesOver = deflate === 'takes over'
    const side = { windowBits: 15, takesOver }
    const agreement = deflate === 'none' ? null : { client: side, upstream: side }
    await fc.assert(
      fc.asyncProperty(said, said, habits, pieces, async (fromClient, fromUpstream, habit, cuts) => {
        const log: string[] = []
        const network = new MemoryNetwork()
        const deadlines = new Deadlines()
        const [client, upstream] = [network.connect('127.0.0.2'), network.connect('127.0.0.3')]
        const messages = {
          hooks: [habitual('+a', habit, log), habitual('+b', habit, log)],
          request,
          ip: '',
          agreement,
          maxMessageBytes: 1 << 20,
        }
        const ended = new Promise<[number, number]>((resolve) => {
          const options = { messages, early: Buffer.alloc(0), rest: Buffer.alloc(0), deadlines, idleMs: 60_000 }
          const wires = { client: client.near, upstream: upstream.near }
          new MessageRelay(wires, { ...options, ended: (bytesIn, bytesOut) => resolve([bytesIn, bytesOut]) })
        })
        const compressed = (all: readonly Said[]) => (deflate === 'none' ? all.map((one) => ({ ...one, isDeflated: false })) : all)
        const spoken = await Promise.all([
          piecesOf(compressed(fromClient), { isClient: true, takesOver, pieces: cuts }),
          piecesOf(compressed(fromUpstream), { isClient: false, takesOver, pieces: cuts }),
        ])
        const heard = await within(Promise.all([talk(client.far, spoken[0]), talk(upstream.far, spoken[1])]), 'not all was said', 10_000)
        const bytes = await within(ended, 'it did not end')
        assert.equal(
          bytes,
          spoken.map((all) => Buffer.concat(all).length),
        )
        check(await textsOf(heard[1], { isClient: false, takesOver }), fromClient, ['+a', '+b'])
        check(await textsOf(heard[0], { isClient: true, takesOver }), fromUpstream, ['+b', '+a'])
        assert.equal(log, ['hold', 'hold', 'forget', 'release', 'forget', 'release'])
        deadlines.stop()
      }),
      { numRuns: 40, endOnFailure: true },
    )
  })
}

/** Each text in its place, followed by no more than what hooks add, in the order they are asked. */
function check(texts: readonly string[], said: readonly Said[], added: readonly [string, string]): void {
  assert.is(texts.length, said.length)
  const endings = ['', added[0], added[1], added.join('')]
  for (const [i, text] of texts.entries())
    assert.ok(
      endings.some((ending) => text === said[i]!.text + ending),
      `message ${i}`,
    )
}

test.run()
