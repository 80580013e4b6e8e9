/** Hooks of bodies, messages, errors and the log, and what a plugin wishes done outside: the same for both engines. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { LogFields } from '../../core/hooks.ts'
import { requestHead } from '../support/heads.ts'
import { ask, askPart, bodyPart, type Isolation, messagePart, outcome, Sandboxed, said } from '../support/sandboxed.ts'
import type { Check } from './sandbox.ts'

const BODIES = `permissions: ['request.body', 'response.body', 'stream'],`
const GRANTED = { grant: ['request.body', 'response.body', 'stream'] }

export function describeParts(isolation: Isolation): void {
  const check: Check = (sentence, run) => {
    test(`${isolation} engine: ${sentence}`, async () => {
      const sandboxed = await Sandboxed.create(isolation)
      try {
        await run(sandboxed)
      } finally {
        await sandboxed.close()
      }
    })
  }
  describeBodies(check)
  describeStates(check)
  describeOtherParts(check)
  describeConnections(check)
  describeWishes(check)
}

function describeBodies(check: Check): void {
  check('gives a chunk, and takes bytes, text, nothing or less in its place', async (it) => {
    const hook = await it.plugin(
      `return { onResponseBody(chunk, req, body) {
        const text = new TextDecoder('latin1').decode(chunk)
        if (text === 'same') return
        if (text === 'drop') return new Uint8Array(0)
        if (text === 'utf8') return 'ü€'
        if (text === 'deny') return deny()
        return new TextEncoder().encode(text.toUpperCase() + req.path + body.type + body.last)
      } }`,
      GRANTED,
      BODIES,
    )
    const at = async (text: string, last = false) => said(await askPart(hook.onResponseBody!.ask, bodyPart(text, { last })))
    assert.equal(await Promise.all([at('same'), at('drop'), at('utf8'), at('deny'), at('abc', true)]), [
      'unchanged',
      'bytes ',
      `text ${Buffer.from('ü€').toString('latin1')}`,
      'deny',
      'bytes ABC/text/plaintrue',
    ])
  })

  check('carries every byte both ways, however many chunks cross in a turn', async (it) => {
    const hook = await it.plugin('return { onRequestBody(chunk) { return chunk.map((byte) => byte ^ 255) } }', GRANTED, BODIES)
    const chunk = (n: number): Buffer => Buffer.from(Array.from({ length: 20_000 }, (_, i) => (i * 7 + n) & 255))
    const chunks = Array.from({ length: 100 }, (_, n) => chunk(n))
    const verdicts = await Promise.all(
      chunks.map((bytes, state) => askPart(hook.onRequestBody!.ask, bodyPart(bytes, { kind: 'requestBody', state }))),
    )
    for (const [n, verdict] of verdicts.entries()) {
      assert.is(verdict?.kind, 'bytes')
      if (verdict?.kind === 'bytes') assert.ok(verdict.bytes.equals(chunks[n]!.map((byte) => byte ^ 255)), `chunk ${n}`)
    }
  })

  check('answers that grow beyond one crossing come with the next ones', async (it) => {
    const hook = await it.plugin('return { onResponseBody(chunk) { return new Uint8Array(300_000).fill(chunk[0]) } }', GRANTED, BODIES)
    const verdicts = await Promise.all(
      Array.from({ length: 20 }, (_, n) => askPart(hook.onResponseBody!.ask, bodyPart(new Uint8Array([n]), { state: n }))),
    )
    for (const [n, verdict] of verdicts.entries()) {
      assert.ok(verdict?.kind === 'bytes' && verdict.bytes.length === 300_000 && verdict.bytes.every((byte) => byte === n), `answer ${n}`)
    }
  })

  check('refuses an answer that is larger than there is room, and one of the wrong kind, each alone', async (it) => {
    const hook = await it.plugin(
      `return { onResponseBody(chunk) {
        switch (chunk[0]) { case 1: return new Uint8Array(5_000_000); case 2: return new Uint16Array(4); case 3: return 5; case 4: return respond(403) }
      } }`,
      GRANTED,
      BODIES,
    )
    const at = async (n: number) => said(await askPart(hook.onResponseBody!.ask, bodyPart(new Uint8Array([n]), { state: n })))
    const failed = 'failed plugin_failed'
    assert.equal(await Promise.all([at(0), at(1), at(2), at(3), at(4), at(5)]), ['unchanged', failed, failed, failed, failed, 'unchanged'])
    assert.match(it.told.failures[0]!.detail, /more than 1 MiB of bytes in one answer/)
  })

  check('tells how it wants a body, and takes a whole one', async (it) => {
    const hook = await it.plugin(
      `return { onRequestBody: { mode: 'buffer', max: '4mb', types: ['text/*', 'Application/JSON'], handle(body) {
        if (this.mode === 'buffer' && body.length === 4_194_304) return respond(413, 'enough')
      } } }`,
      GRANTED,
      BODIES,
    )
    const { ask: asked, ...how } = hook.onRequestBody!
    assert.equal(how, { mode: 'buffer', maxBytes: 4 << 20, types: ['text/*', 'application/json'] })
    const whole = bodyPart(new Uint8Array(4 << 20), { kind: 'requestBody', last: true })
    assert.is(said(await askPart(asked, whole)), 'responded 413')
    assert.is(said(await askPart(asked, bodyPart('x', { kind: 'requestBody', last: true, state: 2 }))), 'unchanged')
  })

  check('names what is wrong with how it wants a body', async (it) => {
    const wrong = async (hook: string): Promise<string> => {
      try {
        await it.plugin(`return { onResponseBody: ${hook} }`, GRANTED, BODIES)
      } catch (error) {
        return (error as Error).message
      }
      return 'it was loaded'
    }
    assert.match(await wrong(`{ mode: 'all', handle() {} }`), /onResponseBody\.mode is 'stream' or 'buffer'/)
    assert.match(await wrong(`{ mode: 'buffer', max: '5mb', handle() {} }`), /onResponseBody\.max is a size up to '4mb'/)
    assert.match(await wrong(`{ types: ['html'], handle() {} }`), /onResponseBody\.types takes media types/)
    assert.match(await wrong(`{ mode: 'buffer' }`), /onResponseBody\.handle is a function/)
    assert.match(await wrong(`{ modus: 'buffer', handle() {} }`), /onResponseBody has no "modus"/)
    assert.match(await wrong('5'), /onResponseBody is not a function, nor \{ mode, max, types, handle \}/)
  })

  check('may await, one chunk after the other', async (it) => {
    const hook = await it.plugin(
      `return { async onResponseBody(chunk) {
        const first = chunk[0]
        await new Promise((resolve) => setTimeout(resolve, 1))
        return new Uint8Array([first + 1])
      } }`,
      GRANTED,
      BODIES,
    )
    const verdicts = await Promise.all(
      Array.from({ length: 30 }, (_, n) => askPart(hook.onResponseBody!.ask, bodyPart(new Uint8Array([n]), { state: n }))),
    )
    assert.equal(
      verdicts.map((verdict) => (verdict?.kind === 'bytes' ? verdict.bytes[0] : null)),
      Array.from({ length: 30 }, (_, n) => n + 1),
    )
  })

  check('never shows the memory that both sides share', async (it) => {
    const hook = await it.plugin(
      `class Thief { static get [Symbol.species]() { return Thief } constructor(buffer) { globalThis.stolen = buffer } }
      for (const Type of [Uint8Array, Int32Array]) {
        Object.defineProperty(Type.prototype, 'constructor', { value: Thief })
        Type.prototype.set = Type.prototype.subarray = Type.prototype.slice = function () { globalThis.stolen = this.buffer }
      }
      return { async onResponseBody(chunk) { await 0; return typeof globalThis.stolen + chunk.length } }`,
      GRANTED,
      BODIES,
    )
    assert.is(said(await askPart(hook.onResponseBody!.ask, bodyPart('abc'))), 'text undefined3')
  })
}

function describeStates(check: Check): void {
  check('keeps a state for each body, until its last chunk', async (it) => {
    const hook = await it.plugin(
      `return { onResponseBody(chunk, req, body) {
        const n = (body.state.n ?? 0) + 1
        body.state.n = n
        return String(n)
      } }`,
      GRANTED,
      BODIES,
    )
    const at = async (state: number, last = false) => said(await askPart(hook.onResponseBody!.ask, bodyPart('x', { state, last })))
    assert.equal(
      [await at(1), await at(2), await at(1), await at(1, true), await at(1), await at(2)],
      [...['text 1', 'text 1', 'text 2', 'text 3', 'text 1', 'text 2']],
    )
    hook.forget(2)
    assert.is(await at(2), 'text 1')
  })

  check('fails a body whose state was lost with its isolate, and no other', async (it) => {
    const hook = await it.plugin(
      `return {
        onRequest() { const all = []; for (;;) all.push(new Array(1000).fill(1)) },
        onResponseBody(chunk, req, body) { body.state.seen = true; return 'ok' },
        onRequestBody(chunk) { return 'ok' },
      }`,
      { ...GRANTED, timeoutMs: 2000, memoryMb: 16 },
      BODIES,
    )
    const at = async (state: number) => said(await askPart(hook.onResponseBody!.ask, bodyPart('x', { state })))
    const stateless = async () => said(await askPart(hook.onRequestBody!.ask, bodyPart('x', { kind: 'requestBody', state: 9 })))
    assert.equal([await at(1), await stateless()], ['text ok', 'text ok'])
    assert.is(outcome(await ask(hook)), 'failed plugin_failed')
    assert.equal([await at(1), await at(2), await stateless()], ['failed plugin_failed', 'text ok', 'text ok'])
    assert.match(it.told.failures.at(-1)!.detail, /started anew in the middle of this body/)
  })
}

function describeOtherParts(check: Check): void {
  check('shows messages as text or bytes, with their direction, and takes either', async (it) => {
    const hook = await it.plugin(
      `return { onMessage(message, from, tunnel) {
        if (message === 'deny') return deny()
        if (typeof message !== 'string') return new Uint8Array([message.length, from.length])
        tunnel.state.n = (tunnel.state.n ?? 0) + 1
        return message === 'same' ? undefined : message + '|' + from + '|' + tunnel.state.n
      } }`,
      GRANTED,
      BODIES,
    )
    const at = async (...given: Parameters<typeof messagePart>) => said(await askPart(hook.onMessage!, messagePart(...given)))
    assert.is(await at('hé€😀'), `text ${Buffer.from('hé€😀|client|1').toString('latin1')}`)
    assert.is(await at('b', { from: 'upstream' }), 'text b|upstream|2')
    assert.is(await at('c', { state: 2 }), 'text c|client|1')
    assert.is(await at('same'), 'unchanged')
    assert.is(await at('deny'), 'deny')
    assert.is(await at(new Uint8Array(70_000)), `bytes ${Buffer.from([70_000 & 255, 6]).toString('latin1')}`)
    assert.is(await at('x'.repeat(200_000)), `text ${'x'.repeat(200_000)}|client|4`)
  })

  check('is not asked about more bytes than it has room for, and goes on', async (it) => {
    const hook = await it.plugin(
      `return { onMessage(message) { return typeof message === 'string' ? message.slice(-2) : message.subarray(-2) } }`,
      GRANTED,
      BODIES,
    )
    const at = async (given: string | Uint8Array) => said(await askPart(hook.onMessage!, messagePart(given)))
    const secret = Buffer.alloc(1 << 20, 'of another client')
    const more = Buffer.alloc((1 << 20) + 1)
    const told = [at('ab'), at(secret), at(more), at('x'.repeat(more.length)), at('cd')]
    assert.equal(await Promise.all(told), [
      'text ab',
      `bytes ${secret.subarray(-2).toString('latin1')}`,
      'failed plugin_failed',
      'failed plugin_failed',
      'text cd',
    ])
    assert.match(it.told.failures.at(-1)!.detail, /was to be given 1048577 bytes at once, and takes up to 1048576/)
  })

  check('text arrives as it was sent, whatever it is', async (it) => {
    const hook = await it.plugin('return { onMessage(message) { return message } }', GRANTED, BODIES)
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'grapheme', maxLength: 2000 }), async (text) => {
        const verdict = await askPart(hook.onMessage!, messagePart(text))
        assert.ok(verdict?.kind === 'bytes' && verdict.bytes.toString() === text)
      }),
      { numRuns: 40 },
    )
  })

  check('answers an error, or lets it be', async (it) => {
    const hook = await it.plugin(`return { onError({ code, status, detail }, req) {
      if (code === 'no_route') return respond(status, req.path + ' ' + detail)
    } }`)
    const at = (code: string) => askPart(hook.onError!, { kind: 'error', code, status: 404, detail: 'nö' }, requestHead({ path: '/where' }))
    assert.equal({ ...(await at('no_route')), headers: null }, { kind: 'respond', status: 404, body: '/where nö', headers: null })
    assert.is(await at('bad_path'), null)
  })

  check('edits and answers a request that asks for an upgrade', async (it) => {
    const hook = await it.plugin(`return { onUpgrade(req) {
      if (req.headers.get('origin') !== 'https://a.example') return respond(403)
      req.headers.set('x-checked', '1')
    } }`)
    const request = requestHead({}, { Origin: 'https://a.example' })
    const verdict = await new Promise((resolve) => {
      hook.onUpgrade!({ request, response: null, ip: '', part: null, ended: false, resume: resolve })
    })
    assert.equal([verdict, request.get('x-checked')], [null, '1'])
  })

  check('writes lines of the log anew, leaves some out, and answers for as many as it was given', async (it) => {
    const hook = await it.plugin(`return { onLog(entries) {
      if (entries.length === 1) return []
      return entries.map((entry) => (entry.path === '/out' ? null : { ...entry, query: '', n: entries.length }))
    } }`)
    const at = (paths: readonly string[]) =>
      askPart(hook.onLog!, { kind: 'log', entries: paths.map((path): LogFields => ({ path, query: '?t=1' })) })
    assert.equal(await at(['/a', '/out', '/€']), {
      kind: 'entries',
      entries: [{ path: '/a', query: '', n: 3 }, null, { path: '/€', query: '', n: 3 }],
    })
    assert.is(said(await at(['/a'])), 'failed plugin_failed')
  })
}

function describeConnections(check: Check): void {
  check('a connection is told by its facts, and ended or routed', async (it) => {
    const hook = await it.plugin(
      `return {
        onConnection(conn) {
          conn.state.seen = [conn.ip, conn.port, conn.listener].join(' ')
          if (conn.ip === '10.0.0.66') return deny()
        },
        async onClientHello(hello, conn) {
          await null
          if (hello.serverName === null) return deny()
          if (hello.alpn.includes('acme-tls/1')) return routeTo('acme')
          conn.state.seen += ' ' + hello.serverName
        },
        onData(data, conn, from) {
          return conn.state.seen + ' ' + from + ' ' + data.length + ' ' + data.at(-1)
        },
      }`,
      GRANTED,
      BODIES,
    )
    const about = (ip: string, state: number) => ({ connection: { ip, port: 1234, listener: 'edge' }, state })
    const opened = async (ip: string, state: number) =>
      said(await askPart(hook.onConnection!, { kind: 'connection', hello: null, ...about(ip, state) }))
    const hello = async (serverName: string | null, alpn: string[], state: number) =>
      said(await askPart(hook.onClientHello!, { kind: 'connection', hello: { serverName, alpn }, ...about('10.0.0.1', state) }))
    assert.equal(await Promise.all([opened('10.0.0.1', 1), opened('10.0.0.66', 2), opened('10.0.0.2', 3)]), [
      'unchanged',
      'deny',
      'unchanged',
    ])
    assert.equal(await Promise.all([hello('a.test', ['h2'], 1), hello(null, [], 3), hello('a.test', ['acme-tls/1'], 4)]), [
      'unchanged',
      'deny',
      'routeTo',
    ])
    const data = async (bytes: Uint8Array, from: 'client' | 'upstream', state: number) =>
      said(await askPart(hook.onData!, { kind: 'data', bytes, from, ...about('10.0.0.1', state) }))
    assert.is(await data(Buffer.from([1, 2, 255]), 'client', 1), 'text 10.0.0.1 1234 edge a.test client 3 255')
    assert.is(await data(Buffer.alloc(65536, 7), 'upstream', 3), 'text 10.0.0.2 1234 edge upstream 65536 7')
    hook.forget(1)
    assert.is(await data(Buffer.from([9]), 'client', 1), 'text undefined client 1 9')
  })

  check('bytes of a connection pass changed or not, and what belongs elsewhere fails', async (it) => {
    const hook = await it.plugin(
      `return {
        onConnection() { return respond(403) },
        onData(data) {
          if (data[0] === 0) return deny()
          if (data[0] === 1) return { status: 200 }
          return data.map((byte) => byte ^ 255)
        },
      }`,
      GRANTED,
      BODIES,
    )
    const connection = { ip: '::1', port: 1, listener: 'edge' }
    const data = (...bytes: number[]) =>
      askPart(hook.onData!, { kind: 'data', bytes: Uint8Array.from(bytes), from: 'client', connection, state: 1 })
    const verdict = await data(2, 3, 255)
    assert.equal(verdict, { kind: 'bytes', bytes: Buffer.from([253, 252, 0]), isText: false })
    assert.is(said(await data(0)), 'deny')
    assert.is(said(await data(1)), 'failed plugin_failed')
    assert.is(said(await askPart(hook.onConnection!, { kind: 'connection', hello: null, connection, state: 1 })), 'failed plugin_failed')
    assert.match(it.told.failures.at(-1)!.detail, /a hook of a connection returns deny\(\), routeTo\(…\) or nothing/)
  })
}

function describeWishes(check: Check): void {
  const wishing = `
    const hostKv = host.kv
    return { async onRequest(req) {
      try {
        req.headers.set('x-got', String(await hostKv.get(req.path)))
      } catch (error) { req.headers.set('x-error', error.message) }
    } }`

  check('has done what it wishes, and goes on with the answer', async (it) => {
    it.perform = async ({ plugin, method, args, grant }) => JSON.stringify(`${plugin} ${method} ${args} ${grant}`)
    const hook = await it.plugin(wishing, { grant: ['kv'] }, `permissions: ['kv'],`)
    const asked = await Promise.all(Array.from({ length: 40 }, (_, i) => ask(hook, { request: requestHead({ path: `/${i}` }) })))
    for (const [i, { request }] of asked.entries()) assert.match(request.get('x-got')!, new RegExp(`^tried kv\\.get .*/${i}".* kv$`))
  })

  check('learns why something was not done', async (it) => {
    const hook = await it.plugin(wishing, { grant: ['kv'] }, `permissions: ['kv'],`)
    assert.is((await ask(hook)).request.get('x-error'), 'kv.get is not there')
  })

  check('an answer that never comes costs the one call that waits for it', async (it) => {
    it.perform = ({ args }) => (args.includes('/dead') ? new Promise(() => undefined) : Promise.resolve('"x"'))
    const hook = await it.plugin(wishing, { grant: ['kv'], deadlineMs: 100 }, `permissions: ['kv'],`)
    const at = (path: string) => ask(hook, { request: requestHead({ path }) })
    const [dead, alive] = await Promise.all([at('/dead'), at('/alive')])
    assert.equal([outcome(dead), alive.request.get('x-got')], ['failed plugin_failed', 'x'])
  })

  check('code that loops after an answer is the fault of the call that wished', async (it) => {
    it.perform = async () => '1'
    const hook = await it.plugin(
      `return { async onRequest(req) { const path = req.path; await host.kv.get('a'); while (path === '/loop'); req.headers.set('x-got', '1') } }`,
      { grant: ['kv'], timeoutMs: 20 },
      `permissions: ['kv'],`,
    )
    const at = (path: string) => ask(hook, { request: requestHead({ path }) })
    const [loop, ...others] = await Promise.all([at('/loop'), at('/a'), at('/b'), at('/c')])
    assert.is(outcome(loop), 'failed plugin_failed')
    for (const { request } of others) assert.is(request.get('x-got'), '1')
  })

  check('may wish in setup', async (it) => {
    it.perform = async ({ grant }) => JSON.stringify(grant.join())
    const code = `import { definePlugin } from 'sluice/plugin'
export default definePlugin({ name: 'early', permissions: ['kv'], async setup(options, host) {
  const early = await host.kv.get('x')
  return { onRequest(req) { req.headers.set('x-early', early) } }
} })`
    const hook = await it.load(await it.write('early.ts', code), { grant: ['kv'] })
    assert.is((await ask(hook)).request.get('x-early'), 'kv')
  })

  check('has in setup the time of loading, also after a wish or a timer', async (it) => {
    it.perform = async () => '1'
    const code = `import { definePlugin } from 'sluice/plugin'
const busy = (ms) => { const began = Date.now(); while (Date.now() - began < ms); }
export default definePlugin({ name: 'slow', permissions: ['kv'], async setup(options, host) {
  await host.kv.get('x')
  busy(60)
  await new Promise((resolve) => setTimeout(resolve, 1))
  busy(60)
  return { onRequest(req) { req.headers.set('x-slow', 'ready') } }
} })`
    const hook = await it.load(await it.write('slow.ts', code), { grant: ['kv'], timeoutMs: 5 })
    assert.ok(hook.onRequest !== null)
  })

  check('cannot have more under way than is sane', async (it) => {
    it.perform = () => new Promise(() => undefined)
    const hook = await it.plugin(
      `return { onRequest(req) {
        let refused = 0
        for (let i = 0; i < 2000; i++) host.kv.get('x').catch(() => refused++)
        return Promise.resolve().then(() => Promise.resolve()).then(() => respond(200, String(refused)))
      } }`,
      { grant: ['kv'], timeoutMs: 500 },
      `permissions: ['kv'],`,
    )
    const { verdict } = await ask(hook)
    assert.is(verdict?.kind === 'respond' && Number(verdict.body), 2000 - 1024)
  })
}
