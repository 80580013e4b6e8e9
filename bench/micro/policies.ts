/**
 * What a policy adds to a request: its hooks alone, called as an exchange calls them, on heads that were parsed before. Least of several
 * rounds, less what a hook that does nothing takes.
 *
 *     node --disable-warning=ExperimentalWarning bench/micro/policies.ts
 */
import * as jose from 'jose'
import { Deadlines } from '../../core/deadlines.ts'
import { type Ask, type HookCall, type LogChoice, makeHook, PENDING } from '../../core/hooks.ts'
import type { Downstream } from '../../core/http/downstream.ts'
import { PacedDownstream } from '../../core/http/paced-downstream.ts'
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
  jwt,
  oidc,
  type Policy,
  rateLimit,
  requestId,
} from '../../core/index.ts'
import { RequestHead, ResponseHead } from '../../core/net/http1/head.ts'
import { Counting, counterBytes, seeded } from '../../core/policy/counting.ts'
import { Policies } from '../../core/policy/policies.ts'
import { Sealer } from '../../core/policy/sealed.ts'
import type { Paces } from '../../core/policy/throttle.ts'

const ROUNDS = 15
const CALLS = 4_096

const SECRET = 'a secret of more than thirty-two characters'
const login = oidc({ issuer: 'https://login.example.com', clientId: 'app', secret: SECRET })
const sealer = new Sealer(jose, SECRET, 'session of app at https://login.example.com')
const session = await sealer.seal({ u: 'ann', f: [] }, Date.now() / 1000 + 3_600)
const token = await new jose.SignJWT({ sub: 'ann' }).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(SECRET))
const authorization = `Authorization: Basic ${btoa('ops:tuesday')}`
const cases: readonly (readonly [what: string, policy: Policy, lines?: string])[] = [
  ['ipAccess, 3 networks', ipAccess({ deny: ['10.9.0.0/16', '192.168.0.0/16', '2001:db8::/32'] })],
  ['basicAuth, plain', basicAuth({ users: { ops: 'tuesday' } }), authorization],
  ['rateLimit, ip', rateLimit({ key: 'ip', limit: 1_000_000, window: '1s' })],
  ['rateLimit, ip, refused', rateLimit({ key: 'ip', limit: 1, window: '1d' })],
  ['rateLimit, header', rateLimit({ key: { header: 'x-key' }, limit: 1_000_000, window: '1s' }), 'X-Key: 0123456789abcdef'],
  ['concurrency, ip', concurrency({ key: 'ip', limit: 10 })],
  ['concurrency, one key', concurrency({ key: () => 'all', limit: 10 })],
  ['concurrency, ip, refused', concurrency({ key: 'ip', limit: 0 })],
  ['bodyLimit', bodyLimit('1mb')],
  ['bandwidth, connection', bandwidth({ response: '1mb' })],
  ['bandwidth, ip', bandwidth({ response: '1mb', key: 'ip' })],
  ['accessLog, 2 left out', accessLog({ remove: ['query', 'userAgent'] })],
  ['accessLog, 2 fields', accessLog({ requestHeaders: ['user-agent', 'x-none'], responseHeaders: 'content-type' })],
  ['accessLog, function', accessLog({ fields: (req) => ({ agent: req.headers.get('user-agent') }) })],
  ['jwt, remembered', jwt({ secret: SECRET }), `Authorization: Bearer ${token}`],
  ['oidc, remembered', login, `Cookie: theme=dark; sluice_session=${session}`],
  ['oidc, 401', login],
  ['apiKey', apiKey({ header: 'x-key', keys: { ann: '0123456789abcdef' } }), 'X-Key: 0123456789abcdef'],
  ['headers, 2 out, 1 set', headers({ response: { remove: ['server', 'x-powered-by'], set: { 'x-frame-options': 'DENY' } } })],
  ['requestId', requestId()],
  ['cors', cors({ origins: ['https://a.example'] }), 'Origin: https://a.example'],
  ['rateLimit, ip, fields', rateLimit({ key: 'ip', limit: 1_000_000, window: '1s', fields: true })],
]

const mark = {}
const nowhere = {} as Downstream
const nobody = { bodyDone: true, onPaced() {} }

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

  #remembered: (() => void) | null = null

  /** Once it is known who that is. */
  whenKnown(): Promise<void> {
    return new Promise((resolve) => {
      this.#remembered = resolve
    })
  }

  resume(): void {
    this.#remembered?.()
  }

  /** As an exchange does. */
  pace(paces: Paces): void {
    new PacedDownstream(nowhere, nobody).add(paces, 0)
  }

  /** As the access log does, when an exchange has ended. */
  log(choice: LogChoice): void {
    choice.of({ request: this.request, response: this.response, ip: this.ip, status: 200, reason: null })
  }
}

const nothing = makeHook('nothing', { onRequest: () => null })
// As a worker has it, of two that share memory.
const seats = 8
const shared = { memory: seeded(new SharedArrayBuffer(counterBytes(seats))), seats, seat: 0 }
const policies = new Policies(new Deadlines(), { counting: new Counting({ shared, workers: 2 }) })
const nothingNs = measure([nothing.onRequest!], '')
for (const [what, policy, lines = ''] of cases) {
  const { onRequest, onResponse } = policies.open('/').hookOf(policy)
  const first = new Call(0, lines)
  if (onRequest?.(first) === PENDING) await first.whenKnown()
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
    for (const call of calls) {
      for (const ask of asks) ask(call)
      for (const ending of call.request.takeEndings() ?? []) ending()
    }
    least = Math.min(least, Number(process.hrtime.bigint() - began) / CALLS)
  }
  return least
}
