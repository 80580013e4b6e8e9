import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Hook, makeHook } from '../../core/hooks.ts'
import { basicAuth, type Config, cache, headers, http, ipAccess, redirect, respond, split, tcp, upstream } from '../../core/index.ts'
import { compilePlan } from '../../core/plan/compile.ts'
import { httpListenersOf } from '../../core/plan/http-listeners.ts'
import type { Destination, Plan } from '../../core/plan/plan.ts'
import type { UpstreamPlan } from '../../core/plan/upstream-plan.ts'
import { pluginUses, type UseConfig } from '../../core/plan/uses.ts'
import { request } from '../route/support.ts'

const api = upstream('api', { endpoints: ['127.0.0.1:1', false, { address: 'b.internal:2', weight: 3 }] })

test('what is left out has its default', () => {
  const plan = compile({ listeners: { web: http({ listen: ':8080', routes: [] }) } })
  const { routes, ...listener } = httpListenersOf(plan.listeners)[0]!
  assert.is(routes.size, 0)
  assert.equal(listener, {
    kind: 'http',
    name: 'web',
    addresses: [{ kind: 'tcp', host: null, port: 8080 }],
    tls: null,
    trust: null,
    headerTrust: null,
    requiresProxyHeader: false,
    via: 'sluice',
    forwarded: false,
    encodedSlashes: false,
    forward: null,
    h2c: true,
    limits: {
      headBytes: 32768,
      requestLineBytes: 8192,
      fields: 100,
      connections: 10_000,
      requestsPerConnection: 10_000,
      bodyBytes: Number.POSITIVE_INFINITY,
    },
    timeouts: {
      requestHead: 10_000,
      requestBodyIdle: 30_000,
      keepAlive: 75_000,
      sendIdle: 60_000,
      tunnelIdle: 3_600_000,
      halfClosed: 1_000,
    },
    hooks: [],
    socks: null,
    transparent: null,
    tunnels: null,
  })
  assert.equal(plan.log, { access: true, level: 'info', format: null })
  assert.is(plan.admin, null)
})

test('what is given is parsed', () => {
  const options = {
    limits: { head: '1kb', body: '2mb', fields: 5 },
    timeouts: { keepAlive: '2m' },
    trust: ['10.0.0.0/8'],
    proxyProtocol: 'require',
    via: false,
    tls: { cert: './c.pem', key: '-----BEGIN KEY' },
  } as const
  const [web] = httpListenersOf(compile({ listeners: { web: http({ listen: [1, 'unix:/x'], routes: [], ...options }) } }).listeners)
  assert.is(web!.limits.headBytes, 1024)
  assert.is(web!.limits.bodyBytes, 2 * 1024 ** 2)
  assert.is(web!.timeouts.keepAlive, 120_000)
  assert.ok(web!.trust!.has('10.1.2.3'))
  assert.is(web!.via, null)
  assert.is(web!.requiresProxyHeader, true)
  const plain = { acme: null, alpn: ['h2', 'http/1.1'], clients: null, minVersion: 'TLSv1.2', ocsp: null, keyLog: null }
  assert.equal(web!.tls, [{ cert: '/etc/proxy/c.pem', key: '-----BEGIN KEY', ...plain }])
  assert.equal(web!.addresses[1], { kind: 'unix', path: '/x' })
})

test('one upstream() is one plan wherever it stands, and so is one URL', () => {
  const plan = compile(
    site([
      { path: '/a', to: api },
      {
        path: '/b',
        to: split([
          [api, 1],
          ['http://x', 2],
        ]),
      },
      { to: 'http://x' },
    ]),
  )
  assert.equal([...plan.upstreams.keys()], ['api', 'http://x'])
  assert.is(upstreamOf(plan, '/a'), plan.upstreams.get('api'))
  assert.is(upstreamOf(plan, '/c'), plan.upstreams.get('http://x'))
  const parts = destination(plan, '/b')
  assert.ok(parts.kind === 'split' && parts.parts[1]!.upstream === plan.upstreams.get('http://x'))
})

test('two upstreams under one name are not let through', () => {
  const other = upstream('api', { endpoints: ['127.0.0.1:9'] })
  assert.throws(() => compile(site([{ path: '/a', to: api }, { to: other }])), /two upstreams are named api/)
})

test('an upstream() keeps the client’s Host, a URL sends its own name', () => {
  const named = upstream('named', {
    endpoints: ['https://a:1'],
    host: 'name',
    timeouts: { connect: '1s' },
    retries: { attempts: 3 },
    limits: { connections: 7 },
    proxyProtocol: 2,
  })
  const plan = compile({
    ...site([{ path: '/a', to: 'https://example.com' }, { path: '/b', to: '127.0.0.1:3000' }, { to: api }]),
    upstreams: [named],
  })
  const pick = ({ host, hostName, tls }: UpstreamPlan) => ({ host, hostName, tls })
  const tls = { servername: null, ca: null, cert: null, key: null }
  assert.equal(pick(plan.upstreams.get('https://example.com')!), { host: 'name', hostName: 'example.com', tls })
  assert.equal(pick(plan.upstreams.get('127.0.0.1:3000')!), { host: 'name', hostName: '127.0.0.1:3000', tls: null })
  assert.equal(pick(plan.upstreams.get('api')!), { host: 'preserve', hostName: 'api', tls: null })
  assert.equal(pick(plan.upstreams.get('named')!), { host: 'name', hostName: 'named', tls })
  const { endpoints, timeouts, retries, connections, idleConnections, proxyProtocol } = plan.upstreams.get('named')!
  assert.equal(
    [timeouts.connect, timeouts.response, retries?.attempts, connections, idleConnections, proxyProtocol],
    [1000, 60_000, 3, 7, 256, 2],
  )
  assert.equal(endpoints, [{ address: 'a:1', target: { kind: 'name', host: 'a', port: 1 }, weight: 1, group: 0, drain: null }])
  assert.equal(
    plan.upstreams.get('api')!.endpoints.map(({ address, weight }) => [address, weight]),
    [
      ['127.0.0.1:1', 1],
      ['b.internal:2', 3],
    ],
  )
})

test('what retries says counts where nothing is tried again, too: the time of the one try, and the budget of a second one that is hedged', () => {
  const endpoints = ['127.0.0.1:1', '127.0.0.1:2']
  const retriesOf = (options: Omit<Parameters<typeof upstream>[1], 'endpoints' | 'discovery'>): UpstreamPlan['retries'] => {
    const to = upstream('tried', { endpoints, ...options })
    return compile(site([{ to }])).upstreams.get('tried')!.retries
  }
  const none = { attempts: 1, onConnect: false, onReset: false, onTimeout: false, statuses: [] }
  assert.is(retriesOf({ retries: { attempts: 1 } }), null)
  assert.is(retriesOf({ retries: { on: [] } }), null)
  assert.equal(retriesOf({ retries: { attempts: 1, perTry: '2s' } }), { ...none, budget: 0.2, perTry: 2000 })
  assert.equal(retriesOf({ retries: { on: [], perTry: '2s' } }), { ...none, budget: 0.2, perTry: 2000 })
  assert.equal(retriesOf({ retries: { attempts: 1, budget: 0.05 }, hedging: {} }), {
    ...none,
    budget: 0.05,
    perTry: Number.POSITIVE_INFINITY,
  })
})

test('groups are dissolved: conditions and hooks of all levels, and what no route takes falls through', () => {
  const hook = (): object => ({ onRequest() {} })
  const plan = compile(
    site([
      {
        host: 'a',
        use: [hook()],
        routes: [
          null,
          { path: '/x', use: [false, hook()], respond: respond(200) },
          { name: 'deep', path: '/y', routes: [{ method: 'put', to: api }] },
        ],
      },
      { respond: respond(404) },
    ]),
  )
  assert.is(match(plan, '/x', 'a')!.id, 'web[0][1]')
  assert.equal(
    match(plan, '/x', 'a')!.hooks.map(({ name }) => name),
    ['web[0]/use[0]', 'web[0][1]/use[1]'],
  )
  assert.is(match(plan, '/y', 'a', 'PUT')!.id, 'web/deep[0]')
  assert.is(match(plan, '/y', 'a')!.id, 'web[1]')
  assert.is(match(plan, '/x', 'b')!.id, 'web[1]')
})

test('a listener of TCP, with HTTP in a route', () => {
  const tls = { cert: './c.pem', key: './k.pem' }
  const inside = http({ use: [{ onRequest() {} }], routes: [{ name: 'me', path: '/me', to: api }, { to: api }] })
  const routes = [
    { name: 'raw', sni: 'A.Example.com', tls, to: api },
    null,
    { from: '10.0.0.0/8', tls, to: inside },
    { to: 'tcp://10.0.0.1:443' },
  ]
  const config: Config = { use: [{ onRequest() {} }], listeners: { edge: tcp({ listen: ':1', routes, timeouts: { tunnelIdle: '2m' } }) } }
  const [edge] = compile(config).listeners
  assert.ok(edge?.kind === 'tcp')
  assert.equal([edge.limits, edge.timeouts], [{ connections: 10_000 }, { detect: 3_000, tunnelIdle: 120_000 }])
  const files = {
    cert: '/etc/proxy/c.pem',
    key: '/etc/proxy/k.pem',
    acme: null,
    clients: null,
    minVersion: 'TLSv1.2',
    ocsp: null,
    keyLog: null,
  }
  assert.equal(
    edge.routes.routes.map(({ id, tls: ends, destination }) => [id, ends, destination.kind]),
    [
      ['edge/raw', [{ ...files, alpn: [] }], 'upstream'],
      ['edge[2]', null, 'http'],
      ['edge[3]', null, 'upstream'],
    ],
  )
  assert.is(edge.routes.match('1.1.1.1', { serverName: 'a.example.com', alpn: [] }), edge.routes.routes[0])
  const [web] = httpListenersOf([edge])
  assert.equal([web!.name, web!.addresses, web!.tls], ['edge[2]/web', [], [{ ...files, alpn: ['h2', 'http/1.1'] }]])
  assert.equal(
    web!.hooks.map(({ name }) => name),
    ['use[0]', 'edge[2]/web/use[0]'],
  )
  assert.equal(
    web!.routes.routes.map(({ id }) => id),
    ['edge[2]/web/me', 'edge[2]/web[1]'],
  )
  const last = edge.routes.routes[2]!.destination
  assert.equal(last.kind === 'upstream' && last.upstream.endpoints[0]!.address, '10.0.0.1:443')
})

test('the config’s use comes first in every listener, and is bound once', () => {
  const bound: string[] = []
  const bindUse = (_use: UseConfig, key: string): Hook => {
    bound.push(key)
    return makeHook(key, {})
  }
  const listener = (listen: string) => http({ listen, use: [{ onResponse() {} }], routes: [] })
  const plan = compilePlan(
    { use: [null, { onRequest() {} }], listeners: { a: listener(':1'), b: listener(':2') } },
    { generation: 1, folder: '/', bindUse },
  )
  assert.equal(bound, ['use[1]', 'a/use[0]', 'b/use[0]'])
  assert.equal(
    httpListenersOf(plan.listeners).map(({ hooks }) => hooks.map(({ name }) => name)),
    [
      ['use[1]', 'a/use[0]'],
      ['use[1]', 'b/use[0]'],
    ],
  )
  const [a, b] = httpListenersOf(plan.listeners)
  assert.is(a!.hooks[0], b!.hooks[0])
})

test('uses of plugins are collected under the keys that compiling asks for', () => {
  const stub = (options: unknown, use?: object) => ({ kind: 'plugin', layer: 'http', name: 'tag', plugin: 'id1', options, use }) as const
  const config: Config = {
    use: [stub(1)],
    listeners: {
      web: http({
        listen: ':1',
        use: [
          false,
          stub(2, {
            timeout: '9ms',
            deadline: '2s',
            memory: '8mb',
            kvMemory: '32mb',
            isolation: 'process',
            onFailure: 'continue',
            grant: ['kv'],
          }),
        ],
        routes: [{ use: [stub(3)], routes: [{ name: 'me', use: [{ onRequest() {} }, stub(4)], to: api }] }],
      }),
    },
  }
  const uses = pluginUses(config)
  assert.equal(
    uses.map(({ key, options }) => [key, options]),
    [
      ['use[0]', 1],
      ['web/use[1]', 2],
      ['web[0]/use[0]', 3],
      ['web/me/use[1]', 4],
    ],
  )
  assert.equal(uses[0], {
    key: 'use[0]',
    name: 'tag',
    plugin: 'id1',
    options: 1,
    grant: [],
    timeoutMs: 5,
    deadlineMs: 1000,
    memoryMb: 64,
    kvBytes: null,
    isolation: null,
    onFailure: 'deny',
  })
  assert.equal(uses[1], {
    key: 'web/use[1]',
    name: 'tag',
    plugin: 'id1',
    options: 2,
    grant: ['kv'],
    timeoutMs: 9,
    deadlineMs: 2000,
    memoryMb: 8,
    kvBytes: 32 * 1024 ** 2,
    isolation: 'process',
    onFailure: 'continue',
  })
  const asked: string[] = []
  compilePlan(config, {
    generation: 1,
    folder: '/',
    bindUse: (use, key) => {
      if ('plugin' in use) asked.push(key)
      return makeHook(key, {})
    },
  })
  assert.equal(
    asked,
    uses.map(({ key }) => key),
  )
})

test('every way to write a destination', () => {
  const plan = compile(
    site([
      { path: '/a', to: respond(201, 'x') },
      { path: '/b', to: redirect('/c/*', 302) },
      { path: '/d/*', redirect: redirect('/e/*') },
      { path: '/f/:id', rewrite: '/g/:id', to: api },
    ]),
  )
  assert.equal(destination(plan, '/a'), { kind: 'respond', status: 201, body: 'x', headers: {} })
  assert.equal(destination(plan, '/b'), { kind: 'redirect', to: '/c/*', status: 302 })
  assert.equal(destination(plan, '/d/x'), { kind: 'redirect', to: '/e/*', status: 308 })
  const sent = destination(plan, '/f/7')
  assert.ok(sent.kind === 'upstream' && sent.rewrite === '/g/:id')
})

test('hosts are compared as they are sent: lower case, and in ASCII', () => {
  const plan = compile(
    site([
      { host: ['API.Example.com', '*.Bücher.de'], respond: respond(200) },
      { host: '*', respond: respond(201) },
    ]),
  )
  assert.is(match(plan, '/', 'api.example.com')!.id, 'web[0]')
  assert.is(match(plan, '/', 'a.xn--bcher-kva.de')!.id, 'web[0]')
  assert.is(match(plan, '/', 'other')!.id, 'web[1]')
})

test('a plan cannot be changed', () => {
  const plan = compile(site([{ to: api }]))
  assert.throws(() => Object.assign(plan, { generation: 2 }), TypeError)
  assert.throws(() => Object.assign(plan.listeners[0]!.timeouts, { keepAlive: 0 }), TypeError)
  assert.throws(() => Object.assign(plan.upstreams.get('api')!.endpoints, { 0: null }), TypeError)
})

test('ten thousand routes are compiled in a moment', () => {
  const routes = Array.from({ length: 10_000 }, (_, i) => ({ host: `t${i}.example.com`, path: '/*', to: api }))
  // Processor time: others may have the processor for some of the time that passes.
  const before = process.cpuUsage()
  const plan = compile(site(routes))
  const { user, system } = process.cpuUsage(before)
  assert.ok(user + system < 1_500_000, `${(user + system) / 1_000} ms`)
  assert.is(match(plan, '/', 't9999.example.com')!.id, 'web[9999]')
})

function site(routes: Parameters<typeof http>[0]['routes']): Config {
  return { listeners: { web: http({ listen: ':1', routes }) } }
}

function compile(config: Config): Plan {
  return compilePlan(config, {
    generation: 1,
    folder: '/etc/proxy',
    bindUse: (_use, key) => makeHook(key, {}),
  })
}

function match(plan: Plan, path: string, host = 'x', method = 'GET') {
  return httpListenersOf(plan.listeners)[0]!.routes.match(request({ path, host, method }))?.route
}

function destination(plan: Plan, path: string): Destination {
  return match(plan, path)!.destination
}

function upstreamOf(plan: Plan, path: string): UpstreamPlan | null {
  const found = destination(plan, path)
  return found.kind === 'upstream' ? found.upstream : null
}

test('a route has one cache; that of its listener stands behind what decides who gets an answer', () => {
  const [own, ofListener] = [cache({ name: 'own' }), cache()]
  const [ip, basic, fields] = [ipAccess({ deny: '10.0.0.1' }), basicAuth({ users: { ops: 'tuesday' } }), headers({ response: {} })]
  const routes = [
    { use: [fields], to: api },
    { use: [fields, ip, fields, basic, fields], to: api },
    { use: [fields, own, fields], to: api },
    { use: [ip], routes: [{ use: [basic], to: api }] },
  ]
  const web = http({ listen: ':8080', use: [ofListener, fields], routes })
  const bindUse = (use: UseConfig): Hook => makeHook(use === own ? 'own' : 'name' in use ? String(use.name) : '', {})
  const plan = compilePlan({ listeners: { web } }, { generation: 1, folder: '/', bindUse })
  const [listener] = httpListenersOf(plan.listeners)
  assert.equal(
    listener!.routes.routes.map(({ hooks }) => hooks.map(({ name }) => name).join(' ')),
    ['cache headers', 'headers ipAccess headers basicAuth cache headers', 'headers own headers', 'ipAccess basicAuth cache'],
  )
  assert.equal(
    listener!.hooks.map(({ name }) => name),
    ['headers'],
  )
})

test.run()
