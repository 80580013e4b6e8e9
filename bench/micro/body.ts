/**
 * What a body costs on its way through hooks, in this program alone: µs of CPU for 16 KB, as read from a buffer that is used again,
 * with a hook that lets it pass, with one that replaces it, and with one that answers a turn later.
 */

import { type Ask, makeHook, PENDING, type Verdict } from '../../core/hooks.ts'
import { BodyPipe, type PipeEnd } from '../../core/http/body-pipe.ts'
import { RequestHead } from '../../core/net/http1/head.ts'

const CHUNK = 16384
const CHUNKS = 20_000
const ROUNDS = 15

const end: PipeEnd & { bytes: number } = {
  bytes: 0,
  write(bytes) {
    end.bytes += bytes.length
    return true
  },
  flush: () => true,
  finish() {},
  stopped(verdict) {
    throw new Error(`stopped: ${verdict.kind}`)
  },
  ready() {},
}

const other: Verdict = { kind: 'bytes', bytes: Buffer.alloc(CHUNK, 'y'), isText: false }
const waiting: (() => void)[] = []
const hooks: Readonly<Record<string, readonly Ask[]>> = {
  'lets it pass': [() => null],
  'replaces it': [() => other],
  'two, both replace it': [() => other, () => other],
  'lets it pass, later': [
    (call) => {
      waiting.push(() => call.resume(null))
      return PENDING
    },
  ],
}

function run(asks: readonly Ask[]): void {
  const read = Buffer.alloc(65536, 'x')
  const made = asks.map((ask, i) => makeHook(`h${i}`, { onResponseBody: { mode: 'stream', maxBytes: 0, types: null, ask } }))
  const request = new RequestHead('', 0, 'GET', 1)
  const body = {
    kind: 'responseBody',
    request,
    response: null,
    ip: '127.0.0.1',
    type: 'text/html',
    coding: null,
    length: -1,
    maxBytes: Infinity,
  } as const
  const pipe = new BodyPipe(body, made, end)
  for (let i = 0; i < CHUNKS; i++) {
    pipe.push(read, 0, CHUNK)
    pipe.settle('lent', i === CHUNKS - 1)
    for (let call = waiting.pop(); call !== undefined; call = waiting.pop()) call()
  }
}

for (const [name, asks] of Object.entries(hooks)) {
  const costs: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    end.bytes = 0
    const from = process.cpuUsage()
    run(asks)
    const used = process.cpuUsage(from)
    if (end.bytes !== CHUNK * CHUNKS) throw new Error(`${name}: ${end.bytes} bytes arrived`)
    costs.push((used.user + used.system) / CHUNKS)
  }
  costs.sort((a, b) => a - b)
  console.log(
    `${name.padEnd(22)} ${costs[0]!.toFixed(2)} µs for 16 KB (best of ${ROUNDS}), ${costs[ROUNDS >> 1]!.toFixed(2)} at the median`,
  )
}
