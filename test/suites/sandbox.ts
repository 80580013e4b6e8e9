/** What a plugin may count on, and what it may not do: the same for both engines. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Hook } from '../../core/hooks.ts'
import type { PluginUse } from '../../core/sandbox/sandbox.ts'
import { eventually } from '../support/deadline.ts'
import { collectGarbage } from '../support/garbage.ts'
import { requestHead, responseHead } from '../support/heads.ts'
import { ask, type Isolation, outcome, Sandboxed } from '../support/sandboxed.ts'

export function describeSandbox(isolation: Isolation): void {
  const check = (sentence: string, run: (sandboxed: Sandboxed) => Promise<void>): void => {
    test(`${isolation} engine: ${sentence}`, async () => {
      const sandboxed = await Sandboxed.create(isolation)
      try {
        await run(sandboxed)
      } finally {
        await sandboxed.close()
      }
    })
  }
  describeHooks(check)
  describeViews(check)
  describeLongText(check)
  describeAsync(check)
  describeLoading(check)
  describeFailures(check)
}

export type Check = (sentence: string, run: (sandboxed: Sandboxed) => Promise<void>) => void

function describeHooks(check: Check): void {
  check('sets, appends and deletes fields of a request', async (it) => {
    const hook = await it.plugin(`return { onRequest(req) {
      req.headers.set('X-Tag', 'v1-' + req.path); req.headers.append('x-list', 'b'); req.headers.delete('x-gone')
    } }`)
    const { request, verdict } = await ask(hook, { request: requestHead({ path: '/a' }, { 'x-gone': '1', 'X-List': 'a', 'x-tag': 'old' }) })
    assert.is(verdict, null)
    assert.is(request.get('x-tag'), 'v1-/a')
    assert.is(request.get('x-list'), 'a, b')
    assert.is(request.has('x-gone'), false)
  })

  check('changes method, path, query and status', async (it) => {
    const hook = await it.plugin(`return {
      onRequest(req) { req.method = 'PUT'; req.path = '/new'; req.query.set('a', 'ü&'); req.query.delete('b') },
      onResponse(res) { res.status = 418 },
    }`)
    const { request } = await ask(hook, { request: requestHead({ path: '/old', search: '?b=1&c=2' }) })
    assert.equal([request.method, request.path, request.search], ['PUT', '/new', '?c=2&a=%C3%BC%26'])
    const { response } = await ask(hook, { response: responseHead(200) })
    assert.is(response!.status, 418)
  })

  check('the query as text is as it was sent, then as it was changed', async (it) => {
    const hook = await it.plugin(`return {
      onRequest(req) { const sent = req.search; req.query.delete('a'); req.headers.set('x-search', sent + ' ' + req.search) },
      onResponse(res, req) { res.headers.set('x-search', req.search) },
    }`)
    const request = requestHead({ search: '?a=%41&b' })
    assert.is((await ask(hook, { request })).request.get('x-search'), '?a=%41&b ?b=')
    const { response } = await ask(hook, { request: requestHead({ search: '?c' }), response: responseHead(200) })
    assert.is(response!.get('x-search'), '?c')
  })

  check('answers, routes, and goes on', async (it) => {
    const hook = await it.plugin(`return { onRequest(req) {
      if (req.path === '/no') return respond(403, 'nö\\n', { 'x-why': 'because' })
      if (req.path === '/there') return routeTo('other')
    } }`)
    const at = (path: string) => ask(hook, { request: requestHead({ path }) })
    const [no, there, on] = await Promise.all([at('/no'), at('/there'), at('/on')])
    assert.equal(
      { ...no.verdict },
      { kind: 'respond', status: 403, body: 'nö\n', headers: Object.assign(Object.create(null), { 'x-why': 'because' }) },
    )
    assert.is(outcome(there), 'routed to other')
    assert.is(outcome(on), 'went on')
  })

  check('sends the calls of one turn across together', async (it) => {
    const hook = await it.plugin(`let n = 0; return { onRequest(req) { req.headers.set('x-n', String(n++)) } }`)
    const asked = await Promise.all(Array.from({ length: 50 }, () => ask(hook)))
    assert.equal(
      asked.map(({ request }) => request.get('x-n')),
      asked.map((_, i) => String(i)),
    )
    assert.equal(it.told.calls, [50])
  })

  check('repeats a constant edit exactly, and notices when it changes', async (it) => {
    const hook = await it.plugin(`let n = 0; return { onResponse(res) { res.headers.set('x-v', n++ < 3 ? 'a' : 'b') } }`)
    const values: (string | null)[] = []
    for (let i = 0; i < 5; i++) values.push((await ask(hook, { response: responseHead() })).response!.get('x-v'))
    assert.equal(values, ['a', 'a', 'a', 'b', 'b'])
  })

  check('does by itself what a hook does whatever it is given', async (it) => {
    const hook = await it.plugin(`return {
      onRequest: (req) => req.headers.append('x-list', 'b'),
      onResponse(res) {
        res.headers.append('x-gone', 'before')
        res.headers.set('X-Proxy', "sluice's")
        res.headers.delete('x-gone')
        res.headers.append('x-proxy', 'two');
      },
    }`)
    const { request, atOnce } = await ask(hook, { request: requestHead({}, { 'X-List': 'a' }) })
    assert.equal([request.get('x-list'), atOnce], ['a, b', true])
    const { response } = await ask(hook, { response: responseHead(200, { 'x-proxy': '0', 'x-gone': '1', 'x-kept': '2' }) })
    assert.equal(
      ['x-proxy', 'x-gone', 'x-kept'].map((name) => response!.get(name)),
      ["sluice's, two", null, '2'],
    )
    assert.equal(it.told.calls, [1, 1])
  })

  check('asks a hook that sets what cannot be sent, and fails of it', async (it) => {
    for (const edit of [
      `'content-length', '5'`,
      `'bad name', 'x'`,
      `'x-nul', '\\0'`,
      `'x-lines', 'a\\r\\nb: c'`,
      `'Connection', 'close'`,
    ]) {
      const hook = await it.plugin(`return { onRequest(req) { req.headers.set(${edit}) } }`)
      const { request, ...rest } = await ask(hook)
      assert.equal([outcome({ request, ...rest }), request.lines()], ['failed plugin_failed', ''], edit)
    }
  })

  check('takes more calls in a turn than fit one crossing', async (it) => {
    const hook = await it.plugin(`return { onRequest(req) { req.headers.set('x-big', 'x'.repeat(4000) + req.path) } }`)
    const asked = await Promise.all(
      Array.from({ length: 300 }, (_, i) => ask(hook, { request: requestHead({ path: `/${i}` }, { a: 'y'.repeat(2000) }) })),
    )
    assert.ok(asked.every(({ request }, i) => request.get('x-big')?.endsWith(`x/${i}`)))
  })

  check('asks nothing of the sandbox when the request does not match', async (it) => {
    const hook = await it.plugin(
      'return { onRequest() { return respond(403) } }',
      {},
      `match: { path: ['/a/*', '/u/:id'], method: 'GET' },`,
    )
    const at = (path: string, method = 'GET') => ask(hook, { request: requestHead({ path, method }) })
    for (const path of ['/a', '/a/b/c', '/u/1']) assert.is(outcome(await at(path)), 'responded 403', path)
    for (const path of ['/', '/ab', '/u', '/u/1/2', '/u/']) assert.is((await at(path)).atOnce, true, path)
    assert.is((await at('/a', 'POST')).atOnce, true)
  })
  // Mechanism: a route for example.com takes `Host: example.com.` as well, and what was to guard it was not asked.
  check('takes a host for itself as routes do, however it is written', async (it) => {
    const hook = await it.plugin(
      'return { onRequest() { return respond(403) } }',
      {},
      `match: { host: ['Example.com', '*.b.org', '[::1]'] },`,
    )
    const at = (host: string) => {
      const request = requestHead()
      request.host = host
      return ask(hook, { request })
    }
    for (const host of ['example.com', 'EXAMPLE.com:80', 'example.com.', 'example.com.:8080', 'a.b.org.', '[::1]:80'])
      assert.is(outcome(await at(host)), 'responded 403', host)
    for (const host of ['example.com.org', 'b.org', 'aexample.com', '']) assert.is((await at(host)).atOnce, true, host)
    await rejects(
      () => it.plugin('return {}', {}, `match: { host: 'example.com:8080' },`),
      /match\.host "example\.com:8080": a host is a name without a port/,
    )
  })
}

function describeViews(check: Check): void {
  check('shows all fields but credentials and those of the proxy', async (it) => {
    const hook = await it.plugin(`return { onRequest(req) {
      return respond(200, ['accept', 'AUTHORIZATION', 'cookie', 'host', 'connection', 'x-two'].map((name) => req.headers.get(name)).join('|'))
    } }`)
    const fields = { Host: 'h', Accept: 'a/b', Authorization: 'Basic x', Cookie: 'a=1', Connection: 'close', 'X-Two': ' 2 ' }
    assert.is(bodyOf(await ask(hook, { request: requestHead({}, fields) })), 'a/b|||||2')
  })

  check('shows credentials to whom they were granted', async (it) => {
    const parts = { grant: ['credentials'] }
    const hook = await it.plugin(
      `return { onResponse(res, req) { res.headers.set('x-seen', req.cookies.get('b') + req.headers.get('authorization')) } }`,
      parts,
      `permissions: ['credentials'],`,
    )
    const { response } = await ask(hook, { request: requestHead({}, { Cookie: 'a=1; b=2', authorization: 'z' }), response: responseHead() })
    assert.is(response!.get('x-seen'), '2z')
  })

  check('shows only what the plugin says it sees, and says so otherwise', async (it) => {
    const hook = await it.plugin(
      `return { onRequest(req) { return respond(200, req.headers.get('X-A') + req.headers.get('x-b')) } }`,
      {},
      `sees: ['x-a'],`,
    )
    assert.is(outcome(await ask(hook, { request: requestHead({}, { 'x-a': '1', 'x-b': '2' }) })), 'failed plugin_failed')
    assert.match(it.told.failures[0]!.detail, /x-b is not in "sees" of this plugin: add it there/)
  })

  check('reads back what it has changed', async (it) => {
    const hook = await it.plugin(`return { onRequest(req) {
      req.headers.set('a', '1'); req.headers.append('A', '2'); req.headers.delete('b'); req.path = '/p'; req.query.set('q', '1')
      return respond(200, [req.headers.get('a'), req.headers.get('b'), req.headers.get('c'), req.path, req.query.get('q')].join('|'))
    } }`)
    assert.is(bodyOf(await ask(hook, { request: requestHead({}, { a: '0', b: '0', c: '0' }) })), '1, 2||0|/p|1')
  })

  check('gives the request to a response hook that asks for it', async (it) => {
    const hook = await it.plugin(
      `return { onResponse(res, { path, ip, method }) { res.headers.set('x-of', method + path + ip + res.status) } }`,
    )
    const { response } = await ask(hook, { request: requestHead({ path: '/q' }), response: responseHead(201), ip: '::1' })
    assert.is(response!.get('x-of'), 'GET/q::1201')
  })

  check('shows the host that was asked for', async (it) => {
    const hook = await it.plugin(
      `return { onRequest(req) { return respond(200, req.host) }, onResponse(res, req) { res.headers.set('x-host', req.host) } }`,
    )
    const request = requestHead({ host: 'a.example:8080' })
    assert.is(bodyOf(await ask(hook, { request })), 'a.example:8080')
    const { response } = await ask(hook, { request, response: responseHead() })
    assert.is(response!.get('x-host'), 'a.example:8080')
  })

  check("shows the client's certificate, and null without one", async (it) => {
    const hook = await it.plugin(`return {
      onRequest(req) { return respond(200, JSON.stringify(req.clientCertificate)) },
      onResponse(res, req) { res.headers.set('x-subject', req.clientCertificate?.subject ?? 'none') },
    }`)
    const facts = { subject: 'CN=ann', issuer: 'CN=ca', serial: '1F', names: ['DNS:ann.test'], fingerprint: 'ab', verified: true }
    const request = Object.assign(requestHead(), { clientCertificate: facts })
    assert.equal(JSON.parse(bodyOf(await ask(hook, { request }))), facts)
    assert.is((await ask(hook, { request, response: responseHead() })).response!.get('x-subject'), 'CN=ann')
    assert.is(bodyOf(await ask(hook, { request: requestHead() })), 'null')
    assert.is((await ask(hook, { response: responseHead() })).response!.get('x-subject'), 'none')
  })

  check('has the globals of the sandbox and no others', async (it) => {
    const hook = await it.plugin(`return { onRequest() {
      const url = new URL('/b?x=1#h', 'https://example.com:8443/a'); url.searchParams.set('y', 'ü')
      const random = crypto.getRandomValues(new Uint8Array(16))
      return respond(200, [url.href, atob(btoa('hi')), new TextDecoder().decode(new TextEncoder().encode('ü')), random.some((b) => b > 0),
        [typeof globalThis.require, typeof process, typeof WebAssembly, typeof SharedArrayBuffer, typeof Atomics, typeof XMLHttpRequest, typeof module, typeof exports].join()].join(' '))
    } }`)
    const [url, text, utf8, random, missing] = bodyOf(await ask(hook)).split(' ')
    assert.is(url, 'https://example.com:8443/b?x=1&y=%C3%BC#h')
    assert.equal([text, utf8, random], ['hi', 'ü', 'true'])
    assert.ok(
      missing!.split(',').every((type) => type === 'undefined'),
      missing,
    )
  })
}

function describeLongText(check: Check): void {
  check('reads a long run of spaces in a URL or a field in one go', async (it) => {
    const hook = await it.plugin(
      `return { onRequest(req) {
        const text = req.headers.get('referer')
        return respond(200, [new URL('https://h/' + text).href.length, new Headers({ a: text }).get('a').length].join())
      } }`,
      { timeoutMs: 100 },
    )
    const request = requestHead({}, { referer: `a${' '.repeat(30_000)}b` })
    assert.is(bodyOf(await ask(hook, { request })), '90012,30002')
  })
}

function describeAsync(check: Check): void {
  check('waits for an async hook, and lets others pass meanwhile', async (it) => {
    const hook = await it.plugin(`return { async onRequest(req) {
      if (req.path === '/slow') await new Promise((resolve) => setTimeout(resolve, 30))
      req.headers.set('x-path', req.path)
    } }`)
    const order: string[] = []
    const at = async (path: string) => {
      const { request } = await ask(hook, { request: requestHead({ path }) })
      order.push(request.get('x-path')!)
    }
    await Promise.all([at('/slow'), at('/a'), at('/b')])
    assert.equal(order, ['/a', '/b', '/slow'])
  })

  check('takes a promise from a hook that is no async function', async (it) => {
    const hook = await it.plugin(`return { onRequest: (req) => req.path === '/p' ? Promise.resolve(respond(403)) : undefined }`)
    const at = (path: string) => ask(hook, { request: requestHead({ path }) })
    assert.equal((await Promise.all([at('/p'), at('/q'), at('/p')])).map(outcome), ['responded 403', 'went on', 'responded 403'])
  })

  check('gives up a call that never settles, at its deadline, and that call alone', async (it) => {
    const hook = await it.plugin(
      `return { async onRequest(req) { if (req.path === '/never') await new Promise(() => {}); req.headers.set('x', '1') } }`,
      { deadlineMs: 400 },
    )
    const at = (path: string) => ask(hook, { request: requestHead({ path }) })
    assert.equal((await Promise.all([at('/never'), at('/a')])).map(outcome), ['failed plugin_failed', 'went on'])
    assert.is(outcome(await at('/b')), 'went on')
    assert.match(JSON.stringify(it.told.failures), /^\[[^,]*,[^,]*,[^,]*did not answer within 400 ms \(its deadline\)[^,]*\]$/)
  })

  check('fails the call whose promise is rejected', async (it) => {
    const hook = await it.plugin(`return { async onRequest() { await null; throw new Error('later') } }`)
    assert.is(outcome(await ask(hook)), 'failed plugin_failed')
    assert.match(it.told.failures[0]!.detail, /^Error: later\n.*plugin-\d+\.ts:3:\d+/s)
  })

  // The engine's own frames are put behind the guest's where an error leaves the isolate by itself: a rejection that nobody handles, a timer.
  check('tells of what nobody caught where the plugin threw it, and no frame of the proxy', async (it) => {
    const hook = await it.plugin(`return { onRequest(req) {
      if (req.path === '/floating') void Promise.reject(new Error('floating'))
      else setTimeout(() => { throw new Error('late') }, 1)
    } }`)
    for (const path of ['/floating', '/timer']) await ask(hook, { request: requestHead({ path }) })
    await eventually(() => (it.told.failures.length === 2 ? true : undefined), 'two failures')
    for (const { detail } of it.told.failures) {
      assert.match(detail, /plugin-\d+\.ts:[45]:\d+/)
      assert.not.match(detail, /file:|node:|isolate\.|executor\./)
    }
  })
}

function describeLoading(check: Check): void {
  check('names file and line of a setup that throws', async (it) => {
    await rejects(() => it.plugin(`\n\nthrow new RangeError('bad luck')`), /plugin-0\.ts:5:7: plugin tried: bad luck/)
  })
  check('refuses hooks that do not exist', async (it) => {
    await rejects(() => it.plugin('return { onRequst() {} }'), /there is no hook onRequst; did you mean onRequest\?/)
  })
  check('refuses permissions that were not granted, and hooks without their permission', async (it) => {
    await rejects(() => it.plugin('return {}', {}, `permissions: ['credentials'],`), /asks for the permission credentials/)
    await rejects(() => it.plugin('return { onMessage() {} }'), /the hook onMessage takes the permission stream/)
    await rejects(
      () => it.plugin('return { onData() {} }'),
      /plugin-\d+\.ts:2:16: plugin tried: the hook onData takes the permission stream/,
    )
    await rejects(() => it.plugin('return {}', { grant: [] }, `permissions: ['telepathy'],`), /there is no permission telepathy; there are/)
    await rejects(() => it.plugin('return {}', {}, `sees: ['Cookie'],`), /wants to see cookie, which takes the permission credentials/)
  })
  check('refuses a setup that loops', async (it) => {
    await rejects(() => it.plugin('for (;;);'), /ran longer than/)
  })
  check('refuses a module that is no plugin', async (it) => {
    await rejects(
      async () => it.load(await it.write('none.ts', 'export default {}')),
      /default export of a plugin is what definePlugin returned/,
    )
    await rejects(
      async () => it.load(await it.write('mute.ts', 'const x = {}')),
      /is what definePlugin returned: export default definePlugin/,
    )
  })
  check('loads all or nothing', async (it) => {
    const good = await it.use(await it.write('good.ts', plain('good', `return { onRequest() { return respond(204) } }`)))
    const bad = await it.use(await it.write('bad.ts', plain('bad', `throw new Error('no')`)))
    await rejects(() => it.sandbox.load([good, bad]), /plugin bad: no/)
    const [hook] = await it.sandbox.load([good])
    assert.is(outcome(await ask(hook!)), 'responded 204')
  })
  check('lets no plugin have the kv of another one by taking its name', async (it) => {
    const code = plain('sessions', 'return { onRequest() { return respond(204) } }')
    const [own, other] = await Promise.all(['own.ts', 'other.ts'].map((file) => it.write(file, code)))
    const uses = (grant: string[]) =>
      Promise.all([it.use(own!, { grant: ['kv'] }), it.use(own!, { grant: ['kv'] }), it.use(other!, { grant })])
    await rejects(
      async () => it.sandbox.load(await uses(['kv'])),
      /other\.ts:2:\d+: plugin sessions: it is granted kv, and so is .*own\.ts/,
    )
    assert.is((await it.sandbox.load(await uses([]))).length, 3)
  })
  check('runs an async setup, and validates options inside', async (it) => {
    const schema = `{ '~standard': { version: 1, vendor: 'x', validate: async (v) => typeof v.n === 'number' ? { value: { n: v.n + 1 } } : { issues: [{ message: 'no number', path: ['n'] }, { message: 'Invalid input', code: 'invalid_type', expected: 'array', path: ['a'] }] } } }`
    const code = `import { definePlugin, respond } from 'sluice/plugin'
export default definePlugin({ name: 'async', options: ${schema}, async setup({ n }) { await new Promise((r) => setTimeout(r, 5)); return { onRequest: () => respond(200, String(n)) } } })`
    const file = await it.write('async.ts', code)
    assert.is(bodyOf(await ask(await it.load(file, { options: { n: 1 } }))), '2')
    await rejects(() => it.load(file, { options: {} }), /the options are not valid: n: no number; a: expected array/)
  })
  check('runs setup anew for each use, in one isolate', async (it) => {
    const file = await it.write(
      'twice.ts',
      plain(
        'twice',
        `globalThis.n = (globalThis.n ?? 0) + 1; const { n } = globalThis; return { onRequest: () => respond(200, options.who + n) }`,
      ),
    )
    const a = await it.load(file, { options: { who: 'a' } })
    const b = await it.load(file, { options: { who: 'b' } })
    assert.equal([bodyOf(await ask(a)), bodyOf(await ask(b))], ['a1', 'b2'])
  })
  check('does not touch a use that did not change, and hands state to one that did', async (it) => {
    const code = (step: number) =>
      plain('count', `let n = host.restore() ?? 0; return { onRequest: () => respond(200, String(n += ${step})), onReload: () => n }`)
    const first = await it.use(await it.write('count.ts', code(1)), { key: 'k' })
    const [one] = await it.sandbox.load([first])
    await ask(one!)
    const [same] = await it.sandbox.load([{ ...first }], [one!])
    assert.is(same, one)
    await it.write('count.ts', code(10))
    const [next] = await it.sandbox.load([await it.use(first.source.file, { key: 'k' })], [one!])
    it.sandbox.release([one!, one!])
    assert.is(bodyOf(await ask(next!)), '11')
    assert.is(outcome(await ask(one!)), 'failed plugin_unavailable')
  })
  check('hands over a state that is promised; what cannot be handed over is told, and costs the next version nothing else', async (it) => {
    const file = await it.write(
      'states.ts',
      plain(
        'states',
        `const circle: any = {}; circle.of = circle
        const states: any = {
          promised: async () => (await null, 1), circle: () => circle, map: () => ({ seen: new Map([[1, 2]]) }), big: () => ({ n: 1n }),
          function: () => () => 1, bytes: () => new Uint8Array(2), much: () => 'x'.repeat(9_000_000), throws: () => { throw new Error('no') },
          loops: () => { for (;;) {} }, none: () => undefined,
        }
        return { onRequest: () => respond(200, String(host.restore())), onReload: states[options.kind] }`,
      ),
    )
    let hook = await it.load(file, { key: 'k', options: { kind: 'promised' } })
    const after: string[] = []
    for (const kind of ['circle', 'map', 'big', 'function', 'bytes', 'much', 'throws', 'loops', 'none', 'end']) {
      hook = await replaced(it, hook, await it.use(file, { key: 'k', options: { kind } }))
      after.push(bodyOf(await ask(hook)))
    }
    assert.equal(after, ['1', ...Array(9).fill('undefined')])
    const words = it.told.lines.map(({ text }) =>
      text.split('\n', 1)[0]!.replace(/^hands nothing over to its next version: onReload: /, ''),
    )
    assert.is(words.length, 8, words.join('\n'))
    assert.match(words[0]!, /circular/)
    assert.match(words[1]!, /"seen" of the state is a Map, which JSON would lose: hand over \[\.\.\.it\]/)
    assert.match(words[2]!, /BigInt/)
    assert.match(words[3]!, /a function cannot be handed over/)
    assert.match(words[4]!, /the state is a Uint8Array/)
    // A busy machine does not come to the end of it.
    assert.match(words[5]!, /more than 8 MiB of state|longer than 500 ms/)
    assert.is(words[6], 'Error: no')
    assert.match(words[7]!, /longer than 500 ms/)
  })
  // What a use was released with held what stood there before it: a hundred reloads kept a hundred plugins.
  check('keeps nothing of uses that others took the place of', async (it) => {
    const file = await it.write('tag.ts', plain('tag', `return { onRequest: () => respond(200, options.tag) }`))
    const gone: WeakRef<Hook>[] = []
    let hook = await it.load(file, { key: 'k', options: { tag: '0' } })
    for (let round = 1; round <= 5; round++) {
      gone.push(new WeakRef(hook))
      hook = await replaced(it, hook, await it.use(file, { key: 'k', options: { tag: String(round) } }))
    }
    await eventually(
      () => {
        collectGarbage()
        return gone.every((ref) => ref.deref() === undefined) ? true : undefined
      },
      () => `${gone.filter((ref) => ref.deref() !== undefined).length} of ${gone.length} are alive`,
    )
    assert.is(bodyOf(await ask(hook)), '5')
  })
}

async function rejects(run: () => Promise<unknown>, pattern: RegExp): Promise<void> {
  try {
    await run()
  } catch (error) {
    assert.match((error as Error).message, pattern)
    return
  }
  assert.unreachable('it was loaded')
}

/** As a reload does it. */
async function replaced(it: Sandboxed, before: Hook, use: PluginUse): Promise<Hook> {
  const [hook] = await it.sandbox.load([use], [before])
  it.sandbox.release([before])
  return hook!
}

function describeFailures(check: Check): void {
  check('answers for the plugin as onFailure says, and changes nothing of the request', async (it) => {
    const body = `return { onRequest(req) { req.headers.set('x', '1'); throw new Error('oh') } }`
    const denied = await ask(await it.plugin(body))
    assert.is(outcome(denied), 'failed plugin_failed')
    const passed = await ask(await it.plugin(body, { onFailure: 'continue' }))
    assert.is(outcome(passed), 'went on')
    assert.is(passed.request.has('x'), false)
    assert.match(it.told.failures[0]!.detail, /^Error: oh\n\s+at .*plugin-0\.ts:3:\d+/)
  })
  check('refuses fields, paths and answers that cannot be sent', async (it) => {
    for (const line of [
      `req.headers.set('bad name', '1')`,
      `req.headers.set('x', 'a\\r\\nb: c')`,
      `req.headers.set('content-length', '1')`,
      `req.headers.set('x', 'ł')`,
      `req.path = '/a b'`,
      `req.path = 'x'`,
      `req.method = 'G T'`,
      `return respond(99)`,
      `return respond(200, 'x', { 'transfer-encoding': 'chunked' })`,
      `return 5`,
    ]) {
      const asked = await ask(await it.plugin(`return { onRequest(req) { ${line} } }`))
      assert.is(outcome(asked), 'failed plugin_failed', line)
      assert.is(asked.request.lines(), '', line)
    }
  })
  check('says which hook failed, and what it returned', async (it) => {
    const hook = await it.plugin(`return {
      onRequest(req) { if (req.path === '/late') for (;;) {} return 'no' },
      onResponse(res) { return respond(101) },
    }`)
    await ask(hook)
    await ask(hook, { response: responseHead(200) })
    await ask(hook, { request: requestHead({ path: '/late' }) })
    const details = it.told.failures.map(({ detail }) => detail)
    assert.is(details[0], 'onRequest: TypeError: a hook returns respond(…), routeTo(…) or nothing, not a string')
    assert.match(details[1]!, /^onResponse: TypeError: .* a whole number from 200 to 599, not 101$/)
    assert.match(details[2]!, /^onRequest(: the plugin did not give way| ran longer than 50 ms \(its timeout\))$/)
  })
  check('counts each failure, and writes a hundred of them in a second', async (it) => {
    const hook = await it.plugin(`return { onRequest() { throw new Error('oh') } }`)
    await Promise.all(Array.from({ length: 150 }, () => ask(hook)))
    const written = it.told.failures.filter(({ detail }) => detail !== '').length
    // They may have begun in one second and ended in the next.
    assert.ok(it.told.failures.length === 150 && written >= 100 && (written < 150 || it.told.lines.length === 0), String(written))
    if (written < 150) assert.match(it.told.lines[0]!.text, /^more than 100 failures within a second/)
  })
  check('logs what a plugin prints, with its name, but no flood', async (it) => {
    const hook = await it.plugin(
      `return { onRequest() { console.warn('hi', { a: [1n] }, new Map([['k', 1]])); for (let i = 0; i < 1000; i++) console.log(i) } }`,
    )
    await ask(hook)
    assert.equal(it.told.lines[0], { level: 'warn', text: 'hi {"a":["1n"]} {"k":1}', at: 'plugin-0.ts:3' })
    assert.ok(it.told.lines.length <= 102)
    assert.ok(it.told.lines.some(({ text }) => /^more than 100 lines of console within a second/.test(text)))
  })
}

function plain(name: string, body: string): string {
  return `import { definePlugin, respond } from 'sluice/plugin'
export default definePlugin({ name: '${name}', setup(options: any, host) { ${body} } })
`
}

function bodyOf({ verdict }: { readonly verdict: unknown }): string {
  return (verdict as { body?: string } | null)?.body ?? ''
}
