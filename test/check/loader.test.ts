import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { explainConfig } from '../../core/check/explain-config.ts'
import { loadConfig } from '../../core/check/loader.ts'
import { formatProblems } from '../../core/config/problems.ts'
import { check, lines, load, makeFolder } from '../config/support.ts'

const IMPORTS =
  "import { defineConfig, http, tcp, upstream, respond, redirect, split, rateLimit, leastRequest, roundRobin, terminate } from 'sluice'\n"

test('a valid config has no problems, and a bundle', async () => {
  const { bundle, problems } = await load(`${IMPORTS}export default defineConfig({
    listeners: { web: http({ listen: [8080, '[::1]:8081', 'unix:/tmp/x.sock'], trust: '10.0.0.0/8', proxyProtocol: 'require', via: false, limits: { head: '16kb' }, timeouts: { keepAlive: '1m' },
      use: [{ onRequest() {}, onMessage() {} }, false], routes: [
        null,
        { name: 'a', host: ['x', '*.y', 'bücher.de'], path: ['/a/:id', /^\\/b(?<id>.)/], method: 'get', headers: { 'X-A': true }, query: { q: ['1', /2/] }, cookies: { c: false }, from: '10.0.0.0/8',
          when: (req: any) => true, to: split([[upstream('u', { endpoints: ['a:1', { address: 'b:2', weight: 0 }], balancer: roundRobin(), proxyProtocol: 2, tls: { servername: 'x' }, retries: { attempts: 2, on: ['connect'] } }), 1], ['https://example.com', 9.5]]), rewrite: '/:id?x' },
        { host: 'z', routes: [{ path: '/old/*', redirect: redirect('https://x.y/*', 302) }, { to: respond(204, '', { 'x-a': 'b' }) }] },
        { to: '127.0.0.1:3000' } ] }) },
    log: { access: false }, admin: { listen: '127.0.0.1:9900' } })`)
  assert.equal(lines(problems), [])
  assert.ok(bundle)
})

/** A piece of a config, marked with ^ where its problem is, and what is said. */
const wrong: readonly (readonly [piece: string, says: string])[] = [
  ['routes: [{ ^pth: "/x", to: api }]', 'listeners.web.routes[0].pth: unknown key; did you mean path?'],
  ['^rotues: [], routes: []', 'listeners.web.rotues: unknown key; did you mean routes?'],
  ['routes: [^{ path: "/x" }]', 'listeners.web.routes[0]: a route needs a destination: to, respond, redirect or routes'],
  [
    'routes: [{ to: api, ^respond: respond(200) }]',
    'listeners.web.routes[0].respond: a route has exactly one of to, respond, redirect and routes; here are to and respond',
  ],
  ['routes: [{ path: ^"x", to: api }]', "listeners.web.routes[0].path: the path 'x' does not begin with '/'"],
  [
    'routes: [{ path: ["/a", ^"/b?c"], to: api }]',
    "listeners.web.routes[0].path[1]: '?' in the path '/b?c': a path holds no query; match it with the field query",
  ],
  ['routes: [{ host: ^"a.com:80", to: api }]', "listeners.web.routes[0].host: a host has no port: 'a.com:80'"],
  [
    'routes: [{ host: ^"a.*.com", to: api }]',
    "listeners.web.routes[0].host: a * stands alone or as the first label: '*.example.com', not 'a.*.com'",
  ],
  ['routes: [{ host: ^"a b", to: api }]', "listeners.web.routes[0].host: not a host name: 'a b'"],
  [
    'routes: [{ from: ^"10.0.0.0/33", to: api }]',
    "listeners.web.routes[0].from: expected an address or a network such as '10.0.0.0/8', got '10.0.0.0/33'",
  ],
  ['routes: [{ method: ^"GE T", to: api }]', "listeners.web.routes[0].method: not a method: 'GE T'"],
  ['routes: [{ headers: { a: ^1 }, to: api }]', 'listeners.web.routes[0].headers.a: expected text, a RegExp, true or false, got 1'],
  ['routes: [{ when: ^true, to: api }]', 'listeners.web.routes[0].when: expected a function, got true'],
  [
    'routes: [{ to: ^"http://127.0.0.1:3000/x" }]',
    "listeners.web.routes[0].to: an address has no path or query: 'http://127.0.0.1:3000/x'; a path is changed by rewrite",
  ],
  [
    'routes: [{ to: ^"127.0.0.1:0" }]',
    "listeners.web.routes[0].to: expected an address such as '127.0.0.1:3000', 'name:3000', 'https://example.com' or 'unix:/run/x.sock', got '127.0.0.1:0'",
  ],
  [
    'routes: [{ to: ^5 }]',
    'listeners.web.routes[0].to: expected an upstream, an address, split(…), respond(…), files(…), redirect(…) or original(), got 5',
  ],
  [
    'routes: [{ path: "/a/:id", rewrite: ^"/:name", to: api }]',
    "listeners.web.routes[0].rewrite: :name stands for nothing: it is not in the path '/a/:id'",
  ],
  [
    'routes: [{ path: "/a", redirect: redirect(^"/b/*") }]',
    "listeners.web.routes[0].redirect.to: * stands for nothing: it is not in the path '/a'",
  ],
  [
    'routes: [{ redirect: redirect(^"//evil.com") }]',
    "listeners.web.routes[0].redirect.to: a redirect goes to a path or to http(s)://…, not to '//evil.com'",
  ],
  [
    'routes: [{ path: "/:h/*", redirect: redirect(^"https://:h/*") }]',
    'listeners.web.routes[0].redirect.to: the request would choose the host it is sent to: only the first labels of a host can be filled in',
  ],
  ['routes: [{ respond: respond(^42) }]', 'listeners.web.routes[0].respond.status: expected a whole number from 200 to 599, got 42'],
  [
    'routes: [{ respond: respond(200, "", { a: ^"b\\nc" }) }]',
    'listeners.web.routes[0].respond.headers.a: a field value holds no line break or control character',
  ],
  [
    'routes: [{ ^rewrite: "/", respond: respond(200) }]',
    'listeners.web.routes[0].rewrite: rewrite goes with to: it changes what an upstream is sent, or what is looked for in files',
  ],
  ['routes: [{ to: split([[api, ^-1]]) }]', 'listeners.web.routes[0].to[0][1]: expected a weight of 0 or more, got -1'],
  [
    'routes: [{ name: "a", path: "/a", to: api }, { name: ^"a", to: api }]',
    "listeners.web.routes[1].name: another route of web is named 'a' already (proxy.config.ts:4)",
  ],
  [
    'routes: [{ host: "x", routes: [{ to: api, ^x: 1 }] }]',
    'listeners.web.routes[0].routes[0].x: unknown key; known are host, path, method, headers, query, cookies, from, when, use, name, rewrite, mirror, to, respond, redirect, routes',
  ],
  [
    'routes: [{ to: api, path: "/" }, { to: upstream(^"api", { endpoints: ["c:1"] }) }]',
    "listeners.web.routes[1].to.name: another upstream is named 'api' already (proxy.config.ts:3)",
  ],
  ['routes: [{ to: upstream("x", { endpoints: ^[] }) }]', 'listeners.web.routes[0].to.endpoints: an upstream needs at least one endpoint'],
  ['routes: [{ to: upstream("x", ^{}) }]', 'listeners.web.routes[0].to: endpoints is missing'],
  [
    'routes: [{ to: upstream("x", { endpoints: ["a:1", ^"a"] }) }]',
    "listeners.web.routes[0].to.endpoints[1]: expected an address such as '127.0.0.1:3000', 'name:3000', 'https://example.com' or 'unix:/run/x.sock', got 'a'",
  ],
  [
    'routes: [{ to: upstream("x", { endpoints: ["a:1"], timeouts: { connect: ^"5 s" } }) }]',
    "listeners.web.routes[0].to.timeouts.connect: expected a duration such as '250ms', '5s' or '2m', got '5 s'; did you mean '5s'?",
  ],
  [
    'routes: [{ to: upstream("x", { endpoints: ["a:1"], tls: { ca: ^"./no.pem" } }) }]',
    'listeners.web.routes[0].to.tls.ca: there is no file FOLDER/no.pem',
  ],
  [
    'routes: [{ to: upstream("x", { endpoints: ["a:1"], balancer: leastRequest({ choices: ^0 }) }) }]',
    'listeners.web.routes[0].to.balancer.choices: expected a whole number from 1 to 100, got 0',
  ],
  [
    'routes: [{ to: upstream("x", { endpoints: ["a:1"], ^parent: "http://a:1" }) }]',
    'listeners.web.routes[0].to.parent: parent is not supported yet',
  ],
  [
    'routes: [{ to: upstream("x", { endpoints: ["a:1"], retries: { on: [^302] } }) }]',
    'listeners.web.routes[0].to.retries.on[0]: expected a whole number from 400 to 599, got 302',
  ],
  [
    'use: [rateLimit({ key: "ip", limit: ^0, window: "1s" })], routes: []',
    'listeners.web.use[0].limit: expected a whole number of 1 or more, got 0',
  ],
  ['use: [{ ^onRequst() {} }], routes: []', 'listeners.web.use[0].onRequst: there is no such hook; did you mean onRequest?'],
  ['use: [{ onMessage: ^7 }], routes: []', 'listeners.web.use[0].onMessage: expected a function, got 7'],
  [
    'use: [{ ^onConnection() {} }], routes: []',
    'listeners.web.use[0].onConnection: the hook onConnection is for a listener of the kind tcp',
  ],
  ['use: [{ onError: ^true }], routes: []', 'listeners.web.use[0].onError: expected a function, got true'],
  [
    'use: [{ onRequestBody: ^"x" }], routes: []',
    "listeners.web.use[0].onRequestBody: expected a function or { mode, max, types, handle }, got 'x'",
  ],
  [
    'use: [{ onRequestBody: ^{ mode: "buffer" } }], routes: []',
    'listeners.web.use[0].onRequestBody: handle is missing: the function that is asked about the body',
  ],
  [
    'use: [{ onResponseBody: { mode: ^"all", handle() {} } }], routes: []',
    "listeners.web.use[0].onResponseBody.mode: expected 'stream' or 'buffer', got 'all'",
  ],
  [
    'use: [{ onResponseBody: { mode: "buffer", max: ^"5mb", handle() {} } }], routes: []',
    "listeners.web.use[0].onResponseBody.max: a body is kept for a hook up to 4mb, not '5mb'; a larger one goes piece by piece, with mode: 'stream'",
  ],
  [
    'use: [{ onResponseBody: { mode: "buffer", max: ^"1 MB", handle() {} } }], routes: []',
    "listeners.web.use[0].onResponseBody.max: expected a size such as '64kb' or '1mb', got '1 MB'; did you mean '1mb'?",
  ],
  [
    'use: [{ onResponseBody: { max: ^"1mb", handle() {} } }], routes: []',
    "listeners.web.use[0].onResponseBody.max: max is for mode: 'buffer'; a body that goes piece by piece may be of any size",
  ],
  [
    'use: [{ onResponseBody: { types: [^"html"], handle() {} } }], routes: []',
    "listeners.web.use[0].onResponseBody.types[0]: expected a media type such as 'text/html' or 'text/*', got 'html'",
  ],
  [
    'use: [{ onResponseBody: { types: ^[], handle() {} } }], routes: []',
    'listeners.web.use[0].onResponseBody.types: an empty list matches nothing; without types every body is wanted',
  ],
  [
    'use: [{ onResponseBody: { ^typs: ["text/html"], handle() {} } }], routes: []',
    'listeners.web.use[0].onResponseBody.typs: unknown key; did you mean types?',
  ],
  [
    'use: [^tag], routes: []',
    'listeners.web.use[0]: expected a plugin, a policy or an object of hooks, got the function tag_default; a plugin is called with its options',
  ],
  [
    'use: [tag({ a: ^() => 1 })], routes: []',
    'listeners.web.use[0].options.a: the options of a plugin are plain data, for they cross into the sandbox: the function a cannot',
  ],
  [
    'use: [tag({}, { timeout: ^"5" })], routes: []',
    "listeners.web.use[0].use.timeout: expected a duration such as '250ms', '5s' or '2m', got '5'",
  ],
  [
    'listen: ^":99999", routes: []',
    "listeners.web.listen: expected an address such as ':8080', '127.0.0.1:8080', '[::1]:8080', 'unix:/run/x.sock' or a port, got ':99999'",
  ],
  [
    'listen: [":1", ^":1"], routes: []',
    'listeners.web.listen[1]: :1 is listened on already, by listeners.web.listen[0] (proxy.config.ts:4)',
  ],
  ['tls: { cert: ^"./no.pem", key: "./no.pem" }, routes: []', 'listeners.web.tls.cert: there is no file FOLDER/no.pem'],
  ['trust: ^"everyone", routes: []', "listeners.web.trust: expected an address or a network such as '10.0.0.0/8', got 'everyone'"],
  [
    '^proxyProtocol: "require", routes: []',
    "listeners.web.proxyProtocol: nobody is trusted to send a PROXY header: say who sends them, as in trust: ['10.0.0.0/8']; connections of others are closed",
  ],
  ['...{ limits: { ^hed: "1kb" } }, routes: []', 'listeners.web.limits.hed: unknown key; did you mean head?'],
  ['routes: ["/a"].map((path) => ({ ^pth: path, to: api }))', 'listeners.web.routes[0].pth: unknown key; did you mean path?'],
]

for (const [piece, says] of wrong) {
  test(`problem: ${piece}`, async () => {
    const listen = piece.includes('listen:') ? '' : "listen: ':8080', "
    const marked = `${IMPORTS}import tag from './tag.ts'\nconst api = upstream('api', { endpoints: ['a:1'] })\nexport default { listeners: { web: http({ ${listen}${piece} }) } }`
    const at = marked.indexOf('^', IMPORTS.length)
    const before = marked.slice(0, at).split('\n')
    const text = marked.slice(0, at) + marked.slice(at + 1)
    const problems = await check({
      'proxy.config.ts': text,
      'tag.ts': "import { definePlugin } from 'sluice/plugin'\nexport default definePlugin({ name: 'tag', setup: () => ({}) })",
    })
    const found = lines(problems.filter(({ severity }) => severity === 'error')).map((line) =>
      line.replace(/\/[^ ]*sluice-config-\w+/, 'FOLDER'),
    )
    assert.is(found[0], `proxy.config.ts:${before.length}:${before.at(-1)!.length + 1} ${says}`)
  })
}

test('all problems are told at once, one line of the config once', async () => {
  const problems = await check(
    `${IMPORTS}export default { listeners: { web: http({ listen: ':x', routes: Array.from({ length: 50 }, () => ({ pth: '/' })) }) }, lgo: {} }`,
  )
  assert.equal(
    problems.map(({ path }) => path),
    ['listeners.web.listen', 'listeners.web.routes[0]', 'listeners.web.routes[0].pth', 'lgo'],
  )
})

test('places are exact through other files, spreads and shared values', async () => {
  const problems = await check({
    'proxy.config.ts': `${IMPORTS}import { team, defaults } from './lib/team.ts'\nconst api = upstream('api', { ...defaults, endpoints: ['a:1'] })\nexport default defineConfig(async () => ({ listeners: { web: http({ listen: ':1', routes: [...team(api), { to: api, 'héllo': 1 }] }) } }))`,
    'lib/team.ts':
      "export const defaults = {\n  idleConnections: -1,\n} as const\nexport const team = (to: unknown) => [\n  { path: '/a', to },\n  { path: 7, to },\n]",
  })
  assert.equal(
    lines(problems).map((line) => line.split(' ').slice(0, 2)),
    [
      ['proxy.config.ts:4:117', 'listeners.web.routes[2].héllo:'],
      ['lib/team.ts:2:20', 'listeners.web.routes[0].to.idleConnections:'],
      ['lib/team.ts:6:11', 'listeners.web.routes[1].path:'],
    ],
  )
})

test('what only the types know is refused, never ignored', async () => {
  const problems = await check(
    `${IMPORTS}export default { listeners: { web: http({ listen: ':1', use: [{ onReload() {} }], routes: [] }) } }`,
  )
  assert.equal(lines(problems), ['proxy.config.ts:2:65 listeners.web.use[0].onReload: the hook onReload is not supported yet'])
})

test('a route behind one that takes everything is a warning, and the config is valid', async () => {
  const { bundle, problems } = await load(
    `${IMPORTS}export default { listeners: { web: http({ listen: ':1', routes: [{ path: '/*', to: 'a:1' }, { path: '/b', to: 'a:1' }] }) } }`,
  )
  assert.ok(bundle)
  assert.equal(lines(problems), [
    'proxy.config.ts:2:93 warning: listeners.web.routes[1]: this route can never match: web[0] (proxy.config.ts:2) takes every request it would',
  ])
})

test('what is no config at all is said plainly', async () => {
  assert.equal(lines(await check('export default 5')), ['proxy.config.ts a config is an object or a function that returns one, not 5'])
  assert.equal(
    lines(await check('export default {}')).map((line) => line.replace(/^\S+ /, '')),
    ['listeners is missing'],
  )
  const { problems } = await loadConfig('/no/such/file.ts')
  assert.equal(lines(problems), ['- there is no file /no/such/file.ts'])
})

test('what a config throws has its place, although the code was changed to watch it', async () => {
  const problems = await check(
    `${IMPORTS}const a = { b: [{ c: 1 }] }; const x = { y: [...a.b], z: (() => { throw new Error('oh') })() }\nexport default x`,
  )
  assert.equal(lines(problems), ['proxy.config.ts:2:73 oh'])
})

test('a module that exports no plugin is named as the config names it', async () => {
  const problems = await check({
    'proxy.config.ts': `${IMPORTS}import tag from './tag.ts'\nexport default { listeners: { web: http({ use: [tag()], routes: [] }) } }`,
    'tag.ts': "export default { name: 'tag', setup: () => ({}) }",
  })
  assert.equal(lines(problems), [
    "proxy.config.ts:3:49 what is imported as tag is called, and is not a function; a plugin's module says export default definePlugin({ … })",
  ])
})

test('a config that does not finish is ended', async () => {
  for (const text of ['for (;;) {}', 'await new Promise((resolve) => setTimeout(resolve, 60_000))']) {
    const { bundle, problems } = await load(`${text}\nexport default {}`, { deadlineMs: 700 })
    assert.is(bundle, null)
    assert.equal(lines(problems), ['proxy.config.ts the config did not finish within 0.7 s'])
  }
})

test('a source is shown without its secrets also where a request was to be explained by it', async () => {
  const folder = makeFolder({ 'proxy.config.ts': "const password = 'hunter2hunter2'; const x = ;\nexport default {}\n" })
  const asked = {
    method: 'GET',
    url: 'http://a/',
    headers: [],
    from: '::1',
    listener: null,
    head: null,
    all: false,
    protocol: 'HTTP/1.1',
  } as const
  const { problems } = await explainConfig(join(folder, 'proxy.config.ts'), asked)
  assert.is(problems.length, 1)
  assert.not.match(JSON.stringify(problems), /hunter2/)
})

test('what a config says to whoever started its process is no answer', async () => {
  for (const message of ["'ready'", 'null', "{ kind: 'checked' }", "{ kind: 'partly' }"]) {
    const { bundle, problems } = await load(`${IMPORTS}process.send?.(${message})
export default { listeners: { web: http({ listen: ':1', routes: [{ to: 'a:1' }] }) } }`)
    assert.equal(lines(problems), [])
    assert.ok(bundle)
  }
})

test('a config that waits for ever without a timer, or ends its process, is told so', async () => {
  for (const text of ['await new Promise(() => {})', 'process.exit(3)']) {
    const { problems } = await load(`${text}\nexport default {}`, { deadlineMs: 2_000 })
    assert.match(lines(problems).join(), /the config (ended the process that evaluated it|did not finish)/)
  }
})

test('a code frame shows the line, and nothing in it steers the terminal', async () => {
  const folder = makeFolder({
    'proxy.config.ts': `${IMPORTS}export default {\n\tlisteners: { web: http({ listen: 'a\x1b[31m', routes: [] }) },\n}\n`,
  })
  const { problems } = await loadConfig(join(folder, 'proxy.config.ts'))
  const text = formatProblems(problems, { color: false, folder })
  assert.not.match(text, /\x1b/)
  assert.equal(text.split('\n').slice(2), [
    '  2 | export default {',
    "> 3 | \tlisteners: { web: http({ listen: 'a\\x1b[31m', routes: [] }) },",
    '    | \t                                 ^',
    '  4 | }',
  ])
  assert.match(text, /^proxy\.config\.ts:3:35: error: listeners\.web\.listen: /)
})

test.run()
