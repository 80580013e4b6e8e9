/**
 * What a hostile plugin tries, and what has to come of it: the call that did it fails, the others of its batch and its neighbours
 * do not. Shared by both engines; what only a process survives says so.
 */

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Hook } from '../../core/hooks.ts'
import { requestHead } from '../support/heads.ts'
import { ask, askPart, bodyPart, type Isolation, messagePart, outcome, Sandboxed, said } from '../support/sandboxed.ts'

export interface HostileCase {
  readonly name: string
  /** Statements of `onRequest(req)`, run when the path is `/evil`. */
  readonly body: string
  /** The hook is an async function. */
  readonly isAsync?: true
  /** V8 itself does not survive it, or cannot be stopped in it: tried in the process engine alone. */
  readonly takesProcess?: true
  /** It does no harm: the call may well go on. */
  readonly harmless?: true
}

export const hostileCases: readonly HostileCase[] = [
  { name: 'loop', body: 'for (;;) {}' },
  { name: 'loop after a promise', body: 'await null; for (;;) {}', isAsync: true },
  { name: 'loop in a promise nobody waits for', body: 'Promise.resolve().then(() => { for (;;) {} })', harmless: true },
  { name: 'loop in a timer', body: 'await new Promise(() => setTimeout(() => { for (;;) {} }, 1))', isAsync: true },
  { name: 'promises for ever', body: 'for (;;) await null', isAsync: true },
  { name: 'never-settling promise', body: 'await new Promise(() => {})', isAsync: true },
  { name: 'thenable that lies', body: 'return { then() { for (;;) {} } }' },
  { name: 'arrays', body: 'const a = []; for (;;) a.push(new Array(1000).fill(1))' },
  { name: 'map', body: 'const m = new Map(); for (let i = 0; ; i++) m.set(i, { i })' },
  { name: 'buffers', body: 'const a = []; for (;;) a.push(new Uint8Array(1 << 20).fill(1))' },
  { name: 'one huge buffer', body: 'new Uint8Array(2 ** 33)' },
  { name: 'strings', body: `let s = 'x'; for (;;) s += s` },
  { name: 'strings kept', body: `const a = []; for (let i = 0; ; i++) a.push(String(i).repeat(1000))` },
  { name: 'padEnd().split', body: `'a'.padEnd(2 ** 29 - 100).split('')`, takesProcess: true },
  { name: 'BigInt squaring', body: 'let n = 3n; for (;;) n *= n', takesProcess: true },
  { name: 'huge spread', body: 'Math.max(...new Array(2 ** 27 - 1))', takesProcess: true },
  { name: 'recursion', body: 'const f = () => f() + 1; f()' },
  { name: 'recursion that catches', body: 'const f = () => { try { f() } catch { f() } }; f()' },
  { name: 'catastrophic regexp', body: `/^(a+)+$/.test('a'.repeat(40) + 'b')` },
  { name: 'throwing getters', body: `throw Object.defineProperty({}, 'stack', { get() { throw 1 } })` },
  { name: 'getter that loops', body: `throw { get stack() { for (;;) {} } }` },
  {
    name: 'proxy that throws',
    body: `throw new Proxy({}, { get() { throw new Error('trap') }, has() { throw 1 }, getPrototypeOf() { throw 2 } })`,
  },
  { name: 'proxy as the answer', body: `return new Proxy({}, { get() { for (;;) {} } })` },
  { name: 'toString that loops', body: `req.headers.set('x', { toString() { for (;;) {} } })` },
  { name: 'prepareStackTrace', body: `Error.prepareStackTrace = () => { for (;;) {} }; throw new Error('x')` },
  { name: 'huge answer', body: `return respond(200, 'x'.repeat(2 ** 24))` },
  { name: 'huge field', body: `req.headers.set('x', 'y'.repeat(2 ** 22))` },
  { name: 'endless edits', body: `for (let i = 0; ; i++) req.headers.append('x' + i, 'y')` },
  { name: 'endless console', body: `for (;;) console.log('x'.repeat(8000))` },
  { name: 'endless timers', body: 'for (;;) setTimeout(() => {}, 0)' },
]

/** Attempts that must find nothing, and break nothing but the plugin's own isolate. The hook answers 200 with what it found. */
export const reaches: readonly { readonly name: string; readonly body: string; readonly found: RegExp }[] = [
  {
    name: 'the host by constructors',
    body: `const f = req.constructor.constructor; return respond(200, f('return typeof process + typeof require')())`,
    found: /^undefinedundefined$/,
  },
  { name: 'the host by console', body: `return respond(200, console.log.constructor('return typeof process')())`, found: /^undefined$/ },
  {
    name: 'the host by an error of the runtime',
    body: `try { req.path = '' } catch (e) { return respond(200, e.constructor.constructor('return typeof process')()) }`,
    found: /^undefined$/,
  },
  {
    name: 'the host by call sites',
    body: `let seen = ''; Error.prepareStackTrace = (_, sites) => { for (const s of sites) seen += typeof s.getThis() + typeof s.getFunction(); return '' }; try { req.path = '' } catch (e) { e.stack } return respond(200, seen)`,
    found: /^(undefined)+$/,
  },
  {
    name: 'modules',
    body: `const name = 'fs'; return respond(200, String(await import(name).catch(() => 'refused')))`,
    found: /^refused$/,
  },
  {
    name: 'isolated-vm',
    body: `return respond(200, Object.getOwnPropertyNames(globalThis).filter((n) => /ivm|isolated|sluice|tape/i.test(n)).join())`,
    found: /^$/,
  },
  {
    name: 'shared memory',
    body: `return respond(200, typeof SharedArrayBuffer + typeof Atomics + typeof WebAssembly + typeof globalThis.gc)`,
    found: /^(undefined){4}$/,
  },
]

/** Ways to break the runtime from inside. The plugin may ruin itself; nothing else may come of it. */
export const pollutions: readonly { readonly name: string; readonly body: string }[] = [
  { name: 'String.prototype.slice', body: `String.prototype.slice = () => 'forged'` },
  { name: 'Array.prototype.push', body: 'Array.prototype.push = () => { throw 1 }' },
  { name: 'Array iteration', body: 'Array.prototype[Symbol.iterator] = function* () { for (;;) yield 1 }' },
  { name: 'Promise.prototype.then', body: 'Promise.prototype.then = function () { throw 1 }' },
  { name: 'RegExp.prototype.exec', body: 'RegExp.prototype.exec = () => null; RegExp.prototype.test = () => true' },
  {
    name: 'Object.prototype setters',
    body: `for (const k of ['0', '1', 'status', 'kind', 'edits', 'text']) Object.defineProperty(Object.prototype, k, { set() { throw 1 }, get() { return 7 }, configurable: true })`,
  },
  { name: 'JSON', body: `JSON.stringify = JSON.parse = () => '{"onRequest":true}'` },
  {
    name: 'Function.prototype.call',
    body: 'Function.prototype.call = Function.prototype.bind = Function.prototype.apply = () => { throw 1 }',
  },
  { name: 'String', body: `globalThis.String = () => ({})` },
  {
    name: 'typed arrays',
    body: `for (const T of [Uint8Array, Int32Array]) { T.prototype.set = T.prototype.subarray = () => { throw 1 }; Object.defineProperty(T.prototype, 'constructor', { value: null }) }`,
  },
]

/** The same in hooks of bodies, messages and the log: statements that run for the evil one. */
export const hostileParts: readonly {
  readonly name: string
  readonly hook: 'onResponseBody' | 'onMessage' | 'onLog'
  readonly body: string
}[] = [
  { name: 'loop over a chunk', hook: 'onResponseBody', body: 'for (;;) chunk[0]++' },
  { name: 'loop after a chunk was awaited', hook: 'onResponseBody', body: 'return (async () => { await 0; for (;;) {} })()' },
  { name: 'chunk that is never answered', hook: 'onResponseBody', body: 'return new Promise(() => {})' },
  { name: 'chunks kept', hook: 'onResponseBody', body: 'const all = []; for (;;) all.push(chunk.slice(), new Array(1e5).fill(1))' },
  { name: 'bytes without end', hook: 'onResponseBody', body: 'return new Uint8Array(2 ** 30)' },
  { name: 'array-like as bytes', hook: 'onResponseBody', body: 'return { length: 2 ** 31, get 0() { for (;;) {} } }' },
  { name: 'proxy of bytes', hook: 'onResponseBody', body: `return new Proxy(chunk, { get() { for (;;) {} } })` },
  { name: 'text without end', hook: 'onResponseBody', body: `return 'x'.repeat(2 ** 28)` },
  { name: 'answer with a getter that loops', hook: 'onResponseBody', body: 'return { get kind() { for (;;) {} } }' },
  { name: 'regexp over a message', hook: 'onMessage', body: `/^(a+)+$/.test('a'.repeat(40) + message)` },
  { name: 'message that is an object', hook: 'onMessage', body: 'return { toString() { for (;;) {} } }' },
  {
    name: 'promise that lies about a message',
    hook: 'onMessage',
    body: 'return { then(resolve) { resolve({ then() { for (;;) {} } }) } }',
  },
  { name: 'entries that grow', hook: 'onLog', body: `return entries.map(() => ({ path: 'x'.repeat(2 ** 22) }))` },
  { name: 'entries with toJSON that loops', hook: 'onLog', body: 'return entries.map(() => ({ toJSON() { for (;;) {} } }))' },
  { name: 'entries with an iterator that never ends', hook: 'onLog', body: 'return { *[Symbol.iterator]() { for (;;) yield {} } }' },
  { name: 'entries in a circle', hook: 'onLog', body: 'entries[0].self = entries; return entries' },
]

export function describeHostileParts(isolation: Isolation): void {
  for (const hostile of hostileParts) {
    check(isolation, `${hostile.name}: ends within its limits, and other bodies go on`, (it) => endsAloneInPart(it, hostile))
  }
}

export function describeHostile(isolation: Isolation): void {
  const beside = withNeighbour(isolation, `return { onRequest(req) { req.headers.set('x', req.path) } }`)
  for (const hostile of hostileCases) {
    if (hostile.takesProcess === true && isolation === 'worker') {
      test.skip(`worker engine: ${hostile.name} (V8 itself gives in; it takes a process)`)
      continue
    }
    beside(`${hostile.name}: ends within its limits, and the others of the batch go on`, (it, neighbour) =>
      endsAlone(it, neighbour, hostile),
    )
  }
}

/** What it reaches for and what it ruins, and how it comes back. */
export function describeWall(isolation: Isolation): void {
  for (const { name, body, found } of reaches) {
    check(isolation, `finds nothing when it reaches for ${name}`, async (it) => {
      const asked = await ask(await it.plugin(`return { async onRequest(req) { ${body} } }`))
      assert.is(outcome(asked), 'responded 200', JSON.stringify(it.told.failures))
      assert.match((asked.verdict as { body: string }).body, found)
    })
  }
  const beside = withNeighbour(isolation, `return { onRequest(req) { req.headers.set('x', req.path + req.headers.get('a')) } }`)
  for (const { name, body } of pollutions) {
    beside(`keeps its neighbours whole when it replaces ${name}`, (it, neighbour) => ruinsItselfAlone(it, neighbour, body))
  }
  describeReplacement(isolation)
}

/** One evil call amid nine honest ones, and a plugin beside it. */
async function endsAlone(it: Sandboxed, neighbour: Hook, hostile: HostileCase): Promise<void> {
  const keyword = hostile.isAsync === true ? 'async' : ''
  const body = `if (req.path === '/evil') { ${hostile.body} } req.headers.set('x', req.path)`
  const evil = await it.plugin(`return { ${keyword} onRequest(req) { ${body} } }`, { timeoutMs: 30, deadlineMs: 300 })
  const paths = ['/0', '/1', '/2', '/3', '/evil', '/5', '/6', '/7', '/8', '/9']
  const from = performance.now()
  const [beside, ...answers] = await Promise.all(
    [neighbour, ...paths.map(() => evil)].map((hook, i) => ask(hook, { request: requestHead({ path: paths[i - 1] ?? '/n' }) })),
  )
  assert.ok(performance.now() - from < 15_000)
  assert.is(beside!.request.get('x'), '/n')
  for (const [i, path] of paths.entries()) {
    if (path !== '/evil') assert.is(answers[i]!.request.get('x'), path)
    else if (hostile.harmless !== true) assert.is(outcome(answers[i]!), 'failed plugin_failed')
  }
  assert.is((await ask(neighbour, { request: requestHead({ path: '/after' }) })).request.get('x'), '/after')
  it.sandbox.release([evil])
}

/** An evil part amid honest ones, all with a state of their own. */
async function endsAloneInPart(it: Sandboxed, { hook: name, body }: (typeof hostileParts)[number]): Promise<void> {
  const permissions = `permissions: ['response.body', 'stream'],`
  const grant = ['response.body', 'stream']
  const hooks = `return {
    onResponseBody(chunk) { const isEvil = chunk[0] === 33; if (isEvil) { ${name === 'onResponseBody' ? body : ''} } return 'seen' },
    onMessage(message) { if (message === '!') { ${name === 'onMessage' ? body : ''} } return 'seen' },
    onLog(entries) { if (entries[0].path === '!') { ${name === 'onLog' ? body : ''} } return entries },
  }`
  const plugin = await it.plugin(hooks, { grant, timeoutMs: 30, deadlineMs: 300 }, permissions)
  const at = (text: string, state: number) => {
    if (name === 'onResponseBody') return askPart(plugin.onResponseBody!.ask, bodyPart(text, { state }))
    if (name === 'onMessage') return askPart(plugin.onMessage!, messagePart(text, { state }))
    return askPart(plugin.onLog!, { kind: 'log', entries: [{ path: text }] })
  }
  const verdicts = await Promise.all(['a', 'b', '!', 'c', 'd'].map(at))
  const seen = name === 'onLog' ? 'entries' : 'text seen'
  assert.equal(verdicts.map(said), [seen, seen, 'failed plugin_failed', seen, seen], JSON.stringify(it.told.failures))
  assert.is(said(await at('e', 9)), seen)
}

async function ruinsItselfAlone(it: Sandboxed, neighbour: Hook, body: string): Promise<void> {
  const ruined = await it.plugin(`return { onRequest(req) { if (req.path === '/ruin') { ${body} } req.headers.set('x', req.path) } }`, {
    timeoutMs: 30,
  })
  await ask(ruined, { request: requestHead({ path: '/ruin' }) })
  for (const path of ['/1', '/2']) {
    const [own, other] = await Promise.all([ruined, neighbour].map((hook) => ask(hook, { request: requestHead({ path }, { a: '!' }) })))
    assert.ok(own!.verdict === null || outcome(own!).startsWith('failed'), outcome(own!))
    assert.is(other!.request.get('x'), `${path}!`)
  }
  it.sandbox.release([ruined])
}

function describeReplacement(isolation: Isolation): void {
  check(isolation, 'an isolate that ran out of memory is replaced, and set up again', async (it) => {
    const hook = await it.plugin(
      `let n = 0; return { onRequest(req) { if (req.path === '/evil') { const a = []; for (;;) a.push(new Array(1000).fill(1)) } req.headers.set('x', req.path + n++) } }`,
      { timeoutMs: 5000, memoryMb: 16 },
    )
    const at = (path: string) => ask(hook, { request: requestHead({ path }) })
    await at('/first')
    const [before, evil, after] = await Promise.all([at('/a'), at('/evil'), at('/b')])
    assert.is(outcome(evil), 'failed plugin_failed')
    assert.is(it.told.failures[0]!.why, 'memory')
    assert.ok(before.request.has('x') && after.request.get('x')!.startsWith('/b'))
  })
  check(isolation, 'a plugin whose setup awaits is started anew, too', async (it) => {
    const code = `import { definePlugin, respond } from 'sluice/plugin'
export default definePlugin({ name: 'tried', async setup() {
  const word = await new Promise((resolve) => setTimeout(resolve, 5, 'ready'))
  return { onRequest(req) {
    if (req.path === '/evil') { const a = []; for (;;) a.push(new Array(1000).fill(1)) }
    return respond(200, word)
  } }
} })`
    const hook = await it.load(await it.write('late.ts', code), { timeoutMs: 5000, memoryMb: 16 })
    const at = (path: string) => ask(hook, { request: requestHead({ path }) })
    const outcomes = (await Promise.all([at('/a'), at('/evil'), at('/b')])).map(outcome)
    assert.equal(outcomes, ['responded 200', 'failed plugin_failed', 'responded 200'])
    assert.is(outcome(await at('/c')), 'responded 200')
  })
  check(isolation, 'a repeat offender is parked, and its neighbour is not', async (it) => {
    const neighbour = await it.plugin(`return { onRequest(req) { req.headers.set('x', '1') } }`, {}, `name: 'neighbour',`)
    const evil = await it.plugin(`return { onRequest(req) { if (req.path === '/evil') for (;;); } }`, { timeoutMs: 5 })
    const at = (path: string) => ask(evil, { request: requestHead({ path }) })
    const outcomes = new Set<string>()
    for (let i = 0; i < 60 && !outcomes.has('failed plugin_unavailable'); i++) {
      outcomes.add(outcome(await at('/evil')))
      assert.is((await ask(neighbour)).request.get('x'), '1')
    }
    assert.equal([...outcomes], ['failed plugin_failed', 'failed plugin_unavailable'])
    assert.ok(
      it.told.failures.filter(({ plugin, why }) => plugin === 'tried' && why === 'timeout').length <= 6,
      JSON.stringify(it.told.failures),
    )
    assert.is((await at('/good')).atOnce, true)
    assert.is(it.told.failures.at(-1)!.why, 'parked')
  })
}

/** Tests in one sandbox, in which the same plugin stands beside each of them: what it suffers adds up, and it is started once. */
function withNeighbour(isolation: Isolation, body: string) {
  let sandboxed: { readonly it: Sandboxed; readonly neighbour: Hook } | null = null
  test.after(() => sandboxed?.it.close())
  return (sentence: string, run: (it: Sandboxed, neighbour: Hook) => Promise<void>): void => {
    test(`${isolation} engine: ${sentence}`, async () => {
      if (sandboxed === null) {
        const it = await Sandboxed.create(isolation)
        sandboxed = { it, neighbour: await it.plugin(body) }
      }
      await run(sandboxed.it, sandboxed.neighbour)
    })
  }
}

function check(isolation: Isolation, sentence: string, run: (it: Sandboxed) => Promise<void>): void {
  test(`${isolation} engine: ${sentence}`, async () => {
    const it = await Sandboxed.create(isolation)
    try {
      await run(it)
    } finally {
      await it.close()
    }
  })
}
