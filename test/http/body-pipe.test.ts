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

const body = { request: requestHead(), response: null, ip: '127.0.0.1', type: '', coding: null, length: -1 }
const PIECE = 65536

/** Takes what comes, a piece at a time if it is told to wait. */
class End implements PipeEnd {
  readonly parts: Buffer[] = []
  ended = 0
  ready_ = 0
  stoppedBy: string | null = null
  #takes: boolean

  constructor(takes: boolean) {
    this.#takes = takes
  }

  get bytes(): Buffer {
    return Buffer.concat(this.parts)
  }
  write(bytes: Buffer): boolean {
    this.parts.push(Buffer.from(bytes))
    return this.#takes
  }
  flush(): boolean {
    return true
  }
  finish(): void {
    this.ended++
  }
  stopped(verdict: Verdict): void {
    this.stoppedBy = verdict.kind
  }
  ready(): void {
    this.ready_++
  }
}

/** Answers in its own time if `waits`; notes that what it was asked about stayed as it was. */
function changing(
  name: string,
  late: HookCall[] | null,
  change: (text: string) => string | null,
  mode: 'stream' | 'buffer' = 'stream',
): Hook {
  const decide = (text: string): Verdict | null => {
    const changed = change(text)
    return changed === null ? null : { kind: 'bytes', bytes: Buffer.from(changed, 'latin1'), isText: false }
  }
  return makeHook(name, {
    onResponseBody: {
      ...{ mode, maxBytes: 1 << 24, types: null },
      ask(call) {
        const part = call.part as BodyPart
        assert.ok(part.bytes.length <= PIECE || mode === 'buffer')
        const text = Buffer.from(part.bytes).toString('latin1')
        if (late === null) return decide(text)
        const { resume } = call
        late.push(
          Object.create(call, {
            resume: {
              value: () => {
                assert.ok(Buffer.from(part.bytes).toString('latin1') === text, 'bytes changed while a hook was thinking')
                resume.call(call, decide(text))
              },
            },
          }),
        )
        return PENDING
      },
    },
  })
}

test('any split of any body, any way to read, through two hooks', () => {
  const chunks = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 30 })
  const whose = fc.constantFrom<Whose>('own', 'lent', 'copied')
  fc.assert(
    fc.property(
      chunks,
      fc.array(fc.nat(4), { maxLength: 30 }),
      whose,
      fc.boolean(),
      fc.boolean(),
      fc.boolean(),
      (parts, joins, kind, slowA, slowB, takes) => {
        const late: HookCall[] = []
        const end = new End(takes)
        const hooks = [
          changing('same', slowA ? late : null, () => null),
          changing('upper', slowB ? late : null, (text) => text.toUpperCase()),
        ]
        const pipe = new BodyPipe({ kind: 'responseBody', ...body }, hooks, end)
        const buffer = Buffer.alloc(PIECE)
        const goOn = () => {
          while (late.length > 0 || !takes) {
            const call = late.shift()
            if (call !== undefined) call.resume(null)
            else {
              const before = end.parts.length
              pipe.drained()
              if (end.parts.length === before && late.length === 0) return
            }
          }
        }
        let next = 0
        let at = 0
        const settle = (last: boolean) => {
          at = 0
          // Told to wait, the source leaves its buffer alone until everything has moved.
          if (!pipe.settle(kind, last)) goOn()
          if (kind === 'copied' || !pipe.isLent) buffer.fill(0xff)
        }
        for (const [i, part] of parts.entries()) {
          const from = kind === 'own' ? 0 : at
          const into = kind === 'own' ? Buffer.alloc(part.length) : buffer
          into.set(part, from)
          pipe.push(into, from, from + part.length)
          at += part.length
          if (joins[next++] !== 0 && i % 2 === 0) settle(false)
        }
        settle(true)
        goOn()
        const expected = Buffer.from(Buffer.concat(parts).toString('latin1').toUpperCase(), 'latin1')
        assert.ok(end.bytes.equals(expected))
        assert.is(end.ended, 1)
      },
    ),
    { numRuns: 400 },
  )
})

test('what a hook made large is asked about in pieces by the next, and no faster than the end takes them', () => {
  const end = new End(false)
  const asked: number[] = []
  const counting = changing('counts', null, (text) => {
    asked.push(text.length)
    return null
  })
  const pipe = new BodyPipe({ kind: 'responseBody', ...body }, [changing('grows', null, (text) => text.repeat(1000)), counting], end)
  pipe.push(Buffer.alloc(1000, 'x'), 0, 1000)
  assert.is(pipe.settle('own', true), false)
  for (let n = 1; end.ended === 0; n++) {
    assert.is(asked.length, n)
    pipe.drained()
  }
  assert.is(Math.max(...asked), PIECE)
  assert.is(end.bytes.length, 1_000_000)
})

test('more than one piece waiting stops the source; one answer later it goes on', () => {
  const late: HookCall[] = []
  const end = new End(true)
  const pipe = new BodyPipe({ kind: 'responseBody', ...body }, [changing('slow', late, () => null)], end)
  const read = Buffer.alloc(40_000, 'x')
  let flows = true
  let reads = 0
  while (flows) {
    pipe.push(Buffer.from(read), 0, read.length)
    flows = pipe.settle('own', false)
    reads++
  }
  assert.is(reads, 3)
  late.shift()!.resume(null)
  assert.is(end.ready_, 1)
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
