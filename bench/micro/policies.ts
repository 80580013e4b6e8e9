/**
 * What a policy adds to a request: its hooks alone, called as an exchange calls them, on heads that were parsed before. Least of several
 * rounds, less what a hook that does nothing takes.
 *
 *     node --disable-warning=ExperimentalWarning bench/micro/policies.ts
 */
import { Deadlines } from '../../core/deadlines.ts'
import { type Ask, type HookCall, makeHook } from '../../core/hooks.ts'
import {
  accessLog,
  apiKey,
  bandwidth,
  basicAuth,
  bodyLimit,
  concurrency,
  cors,
  headers,
  ipAccess,
  type Policy,
  rateLimit,
  requestId,
} from '../../core/index.ts'
import { RequestHead, ResponseHead } from '../../core/net/http1/head.ts'
import { Policies } from '../../core/policy/policies.ts'

const ROUNDS = 15
const CALLS = 4_096

const authorization = `Authorization: Basic ${btoa('ops:tuesday')}`
const cases: readonly (readonly [what: string, policy: Policy, lines?: string])[] = [
  ['ipAccess, 3 networks', ipAccess({ deny: ['10.9.0.0/16', '192.168.0.0/16', '2001:db8::/32'] })],
  ['basicAuth, plain', basicAuth({ users: { ops: 'tuesday' } }), authorization],
  ['rateLimit, ip', rateLimit({ key: 'ip', limit: 1_000_000, window: '1s' })],
  ['rateLimit, ip, refused', rateLimit({ key: 'ip', limit: 1, window: '1d' })],
  ['rateLimit, header', rateLimit({ key: { header: 'x-key' }, limit: 1_000_000, window: '1s' }), 'X-Key: 0123456789abcdef'],
  ['concurrency, ip', concurrency({ key: 'ip', limit: 10 })],
  ['bodyLimit', bodyLimit('1mb')],
  ['bandwidth, connection', bandwidth({ response: '1mb' })],
  ['accessLog', accessLog({ requestHeaders: 'x-tenant' })],
  ['bandwidth, ip', bandwidth({ response: '1mb', key: 'ip' })],
  ['apiKey', apiKey({ header: 'x-key', keys: { ann: '0123456789abcdef' } }), 'X-Key: 0123456789abcdef'],
  ['headers, 2 out, 1 set', headers({ response: { remove: ['server', 'x-powered-by'], set: { 'x-frame-options': 'DENY' } } })],
  ['requestId', requestId()],
  ['cors', cors({ origins: ['https://a.example'] }), 'Origin: https://a.example'],
  ['rateLimit, ip, fields', rateLimit({ key: 'ip', limit: 1_000_000, window: '1s', fields: true })],
]

const mark = {}

class Call implements HookCall {
  readonly request: RequestHead
  readonly response: ResponseHead
  readonly ip: string
  readonly part = null
  readonly ended = false
  readonly id = 'l1x2y3z4-1'
  readonly connectionMark = mark

  constructor(i: number, lines: string) {
    const text = `Host: example.com\r\nUser-Agent: curl/8.1\r\nAccept: */*\r\nAccept-Encoding: gzip, br\r\n${lines === '' ? '' : `${lines}\r\n`}\r\n`
    this.request = new RequestHead(text, 0, 'GET', 1)
    this.request.endFields(text.length - 2)
    const answer = 'Content-Type: text/html\r\nServer: nginx\r\nContent-Length: 95\r\n\r\n'
    this.response = new ResponseHead(answer, 0, 200, 'OK', 1)
    this.response.endFields(answer.length - 2)
    this.ip = `10.0.${(i >> 8) & 255}.${i & 255}`
  }

  resume(): void {}

  pace(): void {}
}

const nothing = makeHook('nothing', { onRequest: () => null })
const policies = new Policies(new Deadlines())
const nothingNs = measure([nothing.onRequest!], '')
for (const [what, policy, lines = ''] of cases) {
  const { onRequest, onResponse } = policies.open('/').hookOf(policy)
  const took = measure(
    [onRequest, onResponse].filter((ask) => ask !== null),
    lines,
  )
  console.log(`${what.padEnd(28)} ${((took - nothingNs) / 1000).toFixed(2)} µs`)
}

/** Nanoseconds a request. */
function measure(asks: readonly Ask[], lines: string): number {
  let least = Number.POSITIVE_INFINITY
  for (let round = 0; round < ROUNDS; round++) {
    const calls = Array.from({ length: CALLS }, (_, i) => new Call(i, lines))
    const began = process.hrtime.bigint()
    for (const call of calls) for (const ask of asks) ask(call)
    least = Math.min(least, Number(process.hrtime.bigint() - began) / CALLS)
  }
  return least
}
