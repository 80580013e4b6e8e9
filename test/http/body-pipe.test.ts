/** Any body, split in any way, arrives exactly: through hooks that pass, change, split and join it, at once or later. */
import * as fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Answer, type BodyPart, type Hook, type HookCall, makeHook, PENDING, type Verdict } from '../../core/hooks.ts'
import { BodyPipe, type PipeEnd, type Whose } from '../../core/http/body-pipe.ts'
import { bodyHook, bytes } from '../support/body-hooks.ts'
import { requestHead } from '../support/heads.ts'
import { startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'

const body = { request: requestHead(), response: null, ip: '127.0.0.1', type: '', coding: null, length: -1, maxBytes: Infinity }
const PIECE = 65536

/** Takes what comes, a piece at a time if it is told to wait, and looks whether what it was lent stays as it is so long. */
class End implements PipeEnd {
  ended = 0
  told = 0
  readonly #parts: Buffer[] = []
  readonly #takes: boolean
  #held: { readonly bytes: Buffer; readonly copy: Buffer } | null = null

  constructor(takes: boolean) {
    this.#takes = takes
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#parts)
  }
  get count(): number {
    return this.#parts.length
  }
  write(bytes: Buffer): boolean {
    const copy = Buffer.from(bytes)
    this.#parts.push(copy)
    if (this.#takes) return true
    assert.is(this.#held, null)
    this.#held = { bytes, copy }
    return false
  }
  /** What it held has left. */
  letGo(): void {
    if (this.#held !== null) assert.ok(this.#held.bytes.equals(this.#held.copy), 'bytes changed while they were lent to the end')
    this.#held = null
  }
  flush(): boolean {
    return true
  }
  finish(): void {
    this.ended++
  }
  stopped(verdict: Verdict): void {
    throw new Error(verdict.kind)
  }
  ready(): void {
    this.told++
  }
}

/** `late`: answers when the test says so, and looks whether what it was asked about stayed as it was. */
function changing(late: (() => void)[] | null, change: (bytes: Buffer) => Buffer | null): Hook {
  const decide = (bytes: Buffer): Verdict | null => {
    const changed = change(bytes)
    return changed === null ? null : { kind: 'bytes', bytes: changed, isText: false }
  }
  return makeHook('changes', {
    onResponseBody: {
      ...{ mode: 'stream', maxBytes: 0, types: null },
      ask(call) {
        const { bytes } = call.part as BodyPart
        assert.ok(bytes.length <= PIECE)
        const view = Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length)
        const copy = Buffer.from(view)
        if (late === null) return decide(view)
        late.push(() => {
          assert.ok(copy.equals(view), 'bytes changed while a hook was thinking')
          call.resume(decide(view))
        })
        return PENDING
      },
    },
  })
}

const upper = (bytes: Buffer) => Buffer.from(bytes.toString('latin1').toUpperCase(), 'latin1')

test('any split of any body, any way to read, through two hooks', () => {
  const chunk = fc.record({ bytes: fc.uint8Array({ maxLength: 300 }), endsRead: fc.boolean() })
  const ways = fc.record({
    whose: fc.constantFrom<Whose>('own', 'lent', 'copied'),
    isView: fc.boolean(),
    slow: fc.tuple(fc.boolean(), fc.boolean()),
    takes: fc.boolean(),
    order: fc.boolean(),
    isLoud: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(chunk, { maxLength: 30 }), ways, (chunks, { whose, isView, slow, takes, order, isLoud }) => {
      const late: (() => void)[] = []
      const end = new End(takes)
      const identity = changing(slow[0] ? late : null, (bytes) => (isView ? bytes : null))
      const shout = changing(slow[1] ? late : null, isLoud ? upper : () => null)
      const pipe = new BodyPipe({ kind: 'responseBody', ...body }, order ? [identity, shout] : [shout, identity], end)
      const buffer = Buffer.alloc(PIECE)
      /** One thing at a time moves. */
      const step = (): boolean => {
        const before = end.count
        const call = late.shift()
        if (call !== undefined) call()
        else {
          end.letGo()
          pipe.drained()
        }
        return call !== undefined || late.length > 0 || end.count > before
      }
      let at = 0
      for (const [i, { bytes, endsRead }] of chunks.entries()) {
        const into = whose === 'own' ? Buffer.alloc(at + bytes.length) : buffer
        into.set(bytes, at)
        pipe.push(into, at, at + bytes.length)
        at += bytes.length
        const isLast = i === chunks.length - 1
        if (!endsRead && !isLast) continue
        at = 0
        // Told to wait, the source leaves its buffer alone until it is told to go on.
        const told = end.told
        if (!pipe.settle(whose, isLast)) while (end.told === told && !isLast) step()
        while (isLast && whose === 'lent' && pipe.isLent) step()
        buffer.fill(0xff)
      }
      if (chunks.length === 0) pipe.settle('own', true)
      while (step());
      const whole = Buffer.concat(chunks.map(({ bytes }) => bytes))
      assert.ok(end.bytes.equals(isLoud ? upper(whole) : whole))
      assert.is(end.ended, 1)
    }),
    { numRuns: 500 },
  )
})

test('what a hook made large is asked about in pieces by the next, and no faster than the end takes them', () => {
  const end = new End(false)
  const asked: number[] = []
  const counting = changing(null, (bytes) => {
    asked.push(bytes.length)
    return null
  })
  const pipe = new BodyPipe(
    { kind: 'responseBody', ...body },
    [changing(null, (bytes) => Buffer.alloc(bytes.length * 1000, 'y')), counting],
    end,
  )
  pipe.push(Buffer.alloc(1000, 'x'), 0, 1000)
  assert.is(pipe.settle('own', true), false)
  for (let n = 1; end.ended === 0; n++) {
    assert.is(asked.length, n)
    end.letGo()
    pipe.drained()
  }
  assert.is(Math.max(...asked), PIECE)
  assert.is(end.bytes.length, 1_000_000)
})

test('more than one piece waiting stops the source; one answer later it goes on', () => {
  const late: (() => void)[] = []
  const end = new End(true)
  const pipe = new BodyPipe({ kind: 'responseBody', ...body }, [changing(late, () => null)], end)
  const read = Buffer.alloc(40_000, 'x')
  let flows = true
  let reads = 0
  while (flows) {
    pipe.push(Buffer.from(read), 0, read.length)
    flows = pipe.settle('own', false)
    reads++
  }
  assert.is(reads, 3)
  late.shift()!()
  assert.is(end.told, 1)
  assert.is(late.length, 1)
})

test('the same over connections: any chunks from the endpoint, any from the client', async () => {
  await using origin = await startOrigin((req) => {
    const chunks = (JSON.parse(req.headers['x-sizes']!) as number[]).filter((size) => size > 0)
    let at = 0
    const framed: Buffer[] = chunks.map((size) => {
      const part = req.body.subarray(at, at + size)
      at += size
      return part.length === 0
        ? Buffer.alloc(0)
        : Buffer.concat([Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from('\r\n')])
    })
    const rest = req.body.subarray(at)
    if (rest.length > 0) framed.push(Buffer.from(`${rest.length.toString(16)}\r\n`), rest, Buffer.from('\r\n'))
    return Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'), ...framed, Buffer.from('0\r\n\r\n')])
  })
  const later = (text: string, _: BodyPart, call: HookCall): Answer => {
    setImmediate(() => call.resume(bytes(Buffer.from(text.toUpperCase(), 'latin1'))))
    return PENDING
  }
  const hooks = [bodyHook({ side: 'request' }), bodyHook({ side: 'request' }, later), bodyHook(), bodyHook({}, later)]
  await using proxy = await startProxy({ origin, listener: { hooks } })
  using c = await proxy.connect({ deadlineMs: 10_000 })
  const sizes = fc.array(fc.integer({ min: 1, max: 3000 }), { maxLength: 8 })
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 6000 }), sizes, sizes, async (whole, fromClient, fromOrigin) => {
      c.send(`POST / HTTP/1.1\r\nHost: x\r\nX-Sizes: ${JSON.stringify(fromOrigin)}\r\nTransfer-Encoding: chunked\r\n\r\n`)
      let at = 0
      for (const size of [...fromClient, 6000]) {
        const part = whole.subarray(at, at + size)
        at += size
        if (part.length > 0)
          c.send(`${part.length.toString(16)}\r\n`)
            .send(part)
            .send('\r\n')
      }
      const response = await c.send('0\r\n\r\n').response()
      const expected = Buffer.from(Buffer.from(whole).toString('latin1').toUpperCase(), 'latin1')
      assert.ok(response.body.equals(Buffer.from(expected.toString('latin1').toUpperCase(), 'latin1')))
    }),
    { numRuns: 60 },
  )
  assert.equal(origin.malformed, [])
})

test.run()
