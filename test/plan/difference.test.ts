/** What one config changed of another, as the line of a reload tells it. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Config, type HttpRoute, http, respond, split, type TcpOptions, tcp, upstream } from '../../core/index.ts'
import { compareParts, describeDifference } from '../../core/plan/difference.ts'
import { partsOf } from '../../core/plan/parts.ts'

const api = upstream('api', { endpoints: ['127.0.0.1:3001'] })

test('the same config twice is no difference', () => {
  assert.is(difference(web([{ path: '/a', to: api }]), web([{ path: '/a', to: api }])), 'nothing changed')
})

test('routes are counted by what they say, wherever they stand', () => {
  const [a, b, c]: HttpRoute[] = [
    { path: '/a', to: api },
    { path: '/b', respond: respond(200, 'b') },
    { path: '/c', to: api },
  ]
  assert.is(difference(web([a!, b!]), web([c!, a!, b!])), '1 route added')
  assert.is(difference(web([a!, b!, c!]), web([b!, c!])), '1 route removed')
  assert.is(difference(web([a!, b!]), web([b!, a!])), 'routes in another order')
  assert.is(difference(web([a!, b!]), web([a!, { path: '/b', respond: respond(200, 'B') }])), '1 route changed')
  assert.is(
    difference(
      web([a!, b!]),
      web([
        { path: '/x', to: api },
        { path: '/y', to: api },
      ]),
    ),
    '2 routes changed',
  )
})

test('a route with another function is another route', () => {
  const when = (text: string) => web([{ path: '/a', when: new Function('req', text) as () => boolean, to: api }])
  assert.is(difference(when('return true'), when('return false')), '1 route changed')
})

test('what a group says belongs to each of its routes', () => {
  const group = (host: string) =>
    web([
      {
        host,
        routes: [
          { path: '/a', to: api },
          { path: '/b', to: api },
        ],
      },
      { path: '/c', to: api },
    ])
  assert.is(difference(group('a.example'), group('b.example')), '2 routes changed')
})

test('an upstream that changed is told once, not with every route to it', () => {
  const other = upstream('api', { endpoints: ['127.0.0.1:3002'] })
  const routes = (to: typeof api): HttpRoute[] => [
    { path: '/a', to },
    {
      path: '/b',
      to: split([
        [to, 9],
        [api === to ? api : to, 1],
      ]),
    },
  ]
  assert.is(difference(web(routes(api)), web(routes(other))), '1 upstream changed')
  const named = upstream('other', { endpoints: ['127.0.0.1:3001'] })
  assert.is(difference(web([{ to: api }]), web([{ to: named }])), '1 route changed')
})

test('listeners: come, gone, at another address, under another name, with TLS, with another limit', () => {
  const listener = (listen: string, more: object = {}) => http({ listen, routes: [{ path: '/', respond: respond(200, '') }], ...more })
  const of = (listeners: Config['listeners']): Config => ({ listeners })
  const web = listener(':8080')
  assert.is(difference(of({ web }), of({ web, more: listener(':8081') })), '1 listener added, 1 route added')
  assert.is(difference(of({ web, more: listener(':8081') }), of({ web })), '1 listener removed, 1 route removed')
  assert.is(difference(of({ web }), of({ web: listener(':9090') })), '1 listener moved')
  assert.is(difference(of({ web }), of({ site: web })), '1 listener renamed')
  assert.is(
    difference(of({ web }), of({ web: listener(':8080', { tls: { cert: 'c', key: 'k' } }) })),
    '1 listener between TLS and plain text',
  )
  assert.is(difference(of({ web }), of({ web: listener(':8080', { limits: { fields: 7 } }) })), '1 listener changed')
})

test('a listener of TCP: its routes, those of HTTP inside, and what is around both', () => {
  const edge = (routes: TcpOptions['routes'], more: Partial<TcpOptions> = {}): Config => ({
    listeners: { edge: tcp({ listen: ':8443', routes, ...more }) },
  })
  const tls = { cert: 'c', key: 'k' }
  const inside = (text: string, more: object = {}) => http({ routes: [{ path: '/', respond: respond(200, text) }], ...more })
  const before = edge([
    { sni: 'a.test', to: api },
    { tls, to: inside('a') },
  ])
  assert.is(
    difference(
      before,
      edge([
        { sni: 'a.test', to: api },
        { tls, to: inside('a') },
      ]),
    ),
    'nothing changed',
  )
  assert.is(
    difference(
      before,
      edge([
        { sni: 'b.test', to: api },
        { tls, to: inside('a') },
      ]),
    ),
    '1 route changed',
  )
  assert.is(
    difference(
      before,
      edge([
        { sni: 'a.test', to: api },
        { tls, to: inside('b') },
      ]),
    ),
    '1 route changed',
  )
  assert.is(
    difference(
      before,
      edge([
        { sni: 'a.test', to: api },
        { tls, to: inside('a', { via: false }) },
      ]),
    ),
    '1 route changed',
  )
  assert.is(difference(before, edge([{ sni: 'a.test', to: api }])), '2 routes removed')
  const limited = edge(
    [
      { sni: 'a.test', to: api },
      { tls, to: inside('a') },
    ],
    { timeouts: { detect: '1s' } },
  )
  assert.is(difference(before, limited), '1 listener changed')
  const other = upstream('api', { endpoints: ['127.0.0.1:3002'] })
  assert.is(
    difference(
      before,
      edge([
        { sni: 'a.test', to: other },
        { tls, to: inside('a') },
      ]),
    ),
    '1 upstream changed',
  )
})

test('a plugin that changed is told by itself, not with what uses it', () => {
  const using = (plugin: string, options: object) => {
    const tag = { kind: 'plugin', layer: 'http', name: 'tag', plugin, options, use: undefined } as never
    return web([
      { path: '/a', use: [tag], to: api },
      { path: '/b', use: [tag], to: api },
    ])
  }
  assert.is(difference(using('v1', {}), using('v2', {})), '1 plugin changed')
  assert.is(difference(using('v1', {}), using('v1', { n: 1 })), '1 plugin changed')
  assert.is(difference(using('v1', {}), using('v1', {})), 'nothing changed')
})

test('certificates are what was read, not what they are called', () => {
  const parts = (read: string) =>
    partsOf(web([{ to: api }]), { code: '', certificates: new Map([['listener web', read]]), lists: new Map(), users: new Map() })
  assert.is(describeDifference(compareParts(parts('a'), parts('b'))), '1 certificate changed')
})

test('block lists are their files, as long as they are used', () => {
  const parts = (...lists: (readonly [string, string])[]) =>
    partsOf(web([{ to: api }]), { code: '', certificates: new Map(), lists: new Map(lists), users: new Map() })
  assert.is(describeDifference(compareParts(parts(['/ads.txt', '1']), parts(['/ads.txt', '2']))), '1 block list changed')
  assert.is(describeDifference(compareParts(parts(), parts(['/ads.txt', '2']))), 'nothing changed')
})

test('a file of users is its content', () => {
  const parts = (digest: string) => {
    const users = new Map([['/users', { digest, users: new Map() }]])
    return partsOf(web([{ to: api }]), { code: '', certificates: new Map(), lists: new Map(), users })
  }
  assert.is(describeDifference(compareParts(parts('1'), parts('2'))), '1 file of users changed')
  assert.is(describeDifference(compareParts(parts('1'), parts('1'))), 'nothing changed')
})

test('settings by their names; and code that no part of the config shows', () => {
  const log = (level: 'info' | 'warn'): Config => ({ ...web([{ to: api }]), log: { level } })
  assert.is(difference(log('info'), log('warn')), 'log changed')
  const code = (text: string) => partsOf(web([{ to: api }]), { code: text, certificates: new Map(), lists: new Map(), users: new Map() })
  assert.is(describeDifference(compareParts(code('1'), code('2'))), 'code changed')
})

test.run()

function web(routes: readonly HttpRoute[]): Config {
  return { listeners: { web: http({ listen: ':8080', routes }) } }
}

function difference(before: Config, after: Config): string {
  const none = { code: '', certificates: new Map<string, string>(), lists: new Map<string, string>(), users: new Map() }
  return describeDifference(compareParts(partsOf(before, none), partsOf(after, none)))
}
