/** Whatever stands where in a config, checking ends with findings and never with an exception; and what it accepts can be compiled. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { formatPath } from '../../core/config/positions.ts'
import { Report } from '../../core/config/report.ts'
import { checkShape } from '../../core/config/schema.ts'
import { makeHook } from '../../core/hooks.ts'
import { type Config, http, redirect, respond, roundRobin, split, upstream } from '../../core/index.ts'
import { compilePlan } from '../../core/plan/compile.ts'

/** Made anew each time: it is changed. */
function makeValid(): Config {
  const api = upstream('api', {
    endpoints: ['127.0.0.1:1', { address: 'name:2', weight: 3 }],
    timeouts: { connect: '1s' },
    balancer: roundRobin(),
    retries: { attempts: 2, on: ['connect'] },
    limits: { connections: 5 },
    proxyProtocol: 1,
    tls: { servername: 'x' },
  })
  return {
    listeners: {
      web: http({
        listen: [':8080', '127.0.0.1:8081'],
        trust: ['10.0.0.0/8'],
        proxyProtocol: 'require',
        via: 'me',
        limits: { head: '16kb' },
        timeouts: { keepAlive: '5s' },
        use: [{ onRequest() {} }],
        routes: [
          {
            name: 'a',
            host: ['x.y', '*.y'],
            path: ['/a/:id', /^\/b(?<id>.)/],
            method: ['GET'],
            headers: { a: [/x/], b: true },
            to: api,
            rewrite: '/:id',
          },
          {
            host: 'z',
            routes: [
              { path: '/old/*', redirect: redirect('/new/*') },
              {
                to: split([
                  [api, 1],
                  ['127.0.0.1:9', 2],
                ]),
              },
            ],
          },
          { query: { q: '1' }, cookies: { c: false }, from: '::/0', when: () => true, respond: respond(200, 'ok', { a: 'b' }) },
        ],
      }),
    },
    upstreams: [upstream('more', { endpoints: ['127.0.0.1:4'] })],
    admin: { listen: '127.0.0.1:9900' },
    log: { access: true, level: 'info' },
  }
}

type Member = readonly [container: Record<string, unknown>, key: string]

/** Every member of every object and list in it. */
function membersOf(value: unknown, found: Member[] = [], seen = new Set<unknown>()): Member[] {
  if (typeof value !== 'object' || value === null || seen.has(value)) return found
  seen.add(value)
  for (const [key, member] of Object.entries(value)) {
    found.push([value as Record<string, unknown>, key])
    membersOf(member, found, seen)
  }
  return found
}

const junk = fc.oneof(
  fc.constantFrom<unknown>(
    undefined,
    null,
    true,
    false,
    0,
    -1,
    1.5,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    10n,
    Symbol('s'),
    '',
    ' ',
    '/',
    '*',
    ':8080',
  ),
  fc.constantFrom<unknown>(
    [],
    [[]],
    {},
    { kind: 'http' },
    { kind: 'upstream' },
    { kind: 'split', parts: [[]] },
    { status: 200 },
    /x/,
    () => {},
    new Map(),
  ),
  fc.constantFrom<unknown>(
    Promise.resolve(1),
    new Date(0),
    Object.create(null),
    { kind: 'redirect', to: '//x' },
    { kind: 'plugin', plugin: 'x' },
    { a: undefined },
  ),
  fc.string(),
  fc.anything({ withNullPrototype: true, withMap: true, withBigInt: true }),
)

function checkAndCompile(config: Config): void {
  const report = new Report()
  checkShape(config, { report, folder: '/' })
  for (const { path, message } of report.findings) {
    const text = typeof message === 'function' ? message(formatPath) : message
    assert.ok(text.length > 0 && formatPath(path).length >= 0)
  }
  if (report.findings.length === 0) compilePlan(config, { generation: 1, folder: '/', bindUse: () => makeHook('x', {}) })
}

test('a valid config is accepted, and compiles', () => {
  const report = new Report()
  checkShape(makeValid(), { report, folder: '/' })
  assert.equal(report.findings, [])
})

test('junk in any place is found, or does no harm', () => {
  const count = membersOf(makeValid()).length
  fc.assert(
    fc.property(fc.nat(count - 1), junk, fc.boolean(), (at, value, isNewKey) => {
      const config = makeValid()
      const [container, key] = membersOf(config)[at]!
      container[isNewKey && !Array.isArray(container) ? `${key}2` : key] = value
      checkAndCompile(config)
    }),
    { numRuns: 3_000, includeErrorInReport: true },
  )
})

test('a name that all objects have is no other than any', () => {
  for (let at = 0; at < membersOf(makeValid()).length; at++) {
    for (const name of ['valueOf', 'constructor', '__proto__']) {
      const config = makeValid()
      const [container, key] = membersOf(config)[at]!
      container[key] = name
      checkAndCompile(config)
    }
  }
})

test.run()
