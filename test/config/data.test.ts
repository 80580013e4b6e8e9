import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { evaluateChecked } from '../../core/config/agreement.ts'
import type { Bundle } from '../../core/config/bundle.ts'
import { dataOf, firstDifference, hashOf } from '../../core/config/data.ts'
import { run } from '../../core/config/evaluate.ts'
import { instrument } from '../../core/config/instrument.ts'
import { readLocated } from '../../core/config/located.ts'
import { bundle } from './support.ts'

test('a line a value, in the order written, under the path that a user would write', () => {
  const api = { kind: 'upstream', name: 'api', options: { endpoints: ['a:1'] } }
  const config = {
    listeners: {
      web: { kind: 'http', options: { listen: ':1', routes: [{ path: /^\/a/i, when: (x: number) => x > 1, to: api }, { to: api }] } },
    },
    use: [{ kind: 'plugin', options: { 'x-a': -0, b: 1n, c: undefined, d: 'two\nlines' } }],
  }
  assert.equal(
    dataOf(config).map((line) => line.replace('\t', ' = ')),
    [
      ' = {}',
      'listeners = {}',
      'listeners.web = {}',
      'listeners.web.kind = "http"',
      'listeners.web = {}',
      'listeners.web.listen = ":1"',
      'listeners.web.routes = [2]',
      'listeners.web.routes[0] = {}',
      'listeners.web.routes[0].path = /^\\/a/i',
      'listeners.web.routes[0].when = "(x) => x > 1"',
      'listeners.web.routes[0].to = {}',
      'listeners.web.routes[0].to.kind = "upstream"',
      'listeners.web.routes[0].to.name = "api"',
      'listeners.web.routes[0].to = {}',
      'listeners.web.routes[0].to.endpoints = [1]',
      'listeners.web.routes[0].to.endpoints[0] = "a:1"',
      'listeners.web.routes[1] = {}',
      'listeners.web.routes[1].to = @listeners.web.routes[0].to',
      'use = [1]',
      'use[0] = {}',
      'use[0].kind = "plugin"',
      'use[0].options = {}',
      'use[0].options["x-a"] = -0',
      'use[0].options.b = 1n',
      'use[0].options.c = undefined',
      'use[0].options.d = "two\\nlines"',
    ].map((line) => line.replace('(x) => x > 1', '(x        ) => x > 1')),
  )
})

test('what holds itself comes to an end', () => {
  const config: Record<string, unknown> = { a: 1 }
  config.self = config
  assert.equal(dataOf(config), ['\t{}', 'a\t1', 'self\t@'])
})

test('what keeps its content where nobody can look is told by what it says of itself', () => {
  const pairs: (readonly [unknown, unknown])[] = [
    [new URL('http://a'), new URL('http://b')],
    [new URLSearchParams('a=1'), new URLSearchParams('a=2')],
    [new Uint8Array([1]).buffer, new Uint8Array([2]).buffer],
    [new Map([['a', 1]]), { 0: ['a', 1] }],
    [new Map([[{ a: 1 }, 1]]), new Map([[{ a: 2 }, 1]])],
    [new Map([['a', 1]]), new Set([['a', 1]])],
    [{ [Symbol('a')]: 1 }, { [Symbol('a')]: 2 }],
    [Object(1), Object(2)],
    [new Error('a'), new Error('b')],
    [{ a: Symbol('x)\nb\t1') }, { a: Symbol('x'), b: 1 }],
  ]
  for (const [one, other] of pairs) {
    assert.equal(dataOf(one), dataOf(one))
    assert.is.not(hashOf(dataOf(one)), hashOf(dataOf(other)), dataOf(one).join('\n'))
  }
})

test('equal data have equal hashes, and the first difference is where they differ', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
      assert.is(hashOf(dataOf(a)), hashOf(dataOf(structuredClone(a))))
      assert.is(firstDifference(dataOf(a), dataOf(structuredClone(a))), null)
      const same = JSON.stringify(a) === JSON.stringify(b)
      assert.is(firstDifference(dataOf(a), dataOf(b)) === null, same)
      assert.is(hashOf(dataOf(a)) === hashOf(dataOf(b)), same)
    }),
  )
  const differ = (a: unknown, b: unknown): string | null => firstDifference(dataOf(a), dataOf(b))
  assert.is(differ({ a: { 'x=y': [1, 2] } }, { a: { 'x=y': [1, 3] } }), 'a["x=y"][1]')
  assert.is(differ({ a: 1 }, { a: 1, b: 2 }), 'b')
  assert.is(differ({ a: 1, b: 2 }, { a: 1 }), 'b')
})

test('the process that checks and those that carry traffic come to the same data, functions included', async () => {
  const made = await bundle({
    'proxy.config.ts': `import { http, respond } from 'sluice'
import { more } from './more.ts'
const text = '__at(0,0,'
const methods = { onRequest(req: any) { return [...[req], { a: [text] }] }, async onResponse() { return http({ listen: ':1', routes: [] }) } }
function when(req: any) { return [1, { a: [...'abc'] }].includes(req) }
export default () => ({ listeners: { web: http({ listen: ':1', use: [methods], routes: [...more, { when, to: 'a:1' }, { when: () => ({}), to: 'a:1' }] }) } })`,
    'more.ts': `export const more = ['/a', '/b'].map((path) => ({ path, when: (req: any): boolean => ([path, ...[path]] as any).includes(req.path), to: 'a:1' }))`,
  })
  const located = await readLocated({ bundle: made, instrumented: instrument(made) })
  assert.equal(located.data(), dataOf(await run(made)))
  await evaluateChecked({ ...made, dataHash: hashOf(located.data()) })
})

const CLOCKS = ['Math.random()', 'performance.now()', 'process.hrtime()[1]']
for (const clock of CLOCKS) {
  test(`a config with ${clock} in its data is refused, and the place is named`, async () => {
    const made = await checkedBundle(`{ path: '/', respond: respond(200, String(${clock})) }`)
    assert.is(
      await refusal(made),
      'listeners.web.routes[0].respond.body is another each time the config is evaluated (a random number, a clock?); all workers have to come to the same',
    )
  })
}

test('one that differs only between processes is refused, too', async () => {
  const made = await checkedBundle(`{ path: '/', respond: respond(200, String(process.pid)) }`)
  assert.is(await refusal(made), null)
  assert.match(String(await refusal({ ...made, dataHash: hashOf(dataOf('what another process found')) })), /not the same in every process/)
})

test('random numbers inside functions are nobody’s business', async () => {
  assert.is(await refusal(await checkedBundle(`{ when: () => Math.random() < 0.5, to: 'a:1' }`)), null)
})

test('ten thousand routes take well under 50 ms', () => {
  const routes = Array.from({ length: 10_000 }, (_, i) => ({
    name: `r${i}`,
    host: 'a.example.com',
    path: `/a${i}/*`,
    when: () => i > 1,
    to: 'a:1',
  }))
  const config = { listeners: { web: { kind: 'http', options: { listen: ':1', routes } } } }
  const times = Array.from({ length: 15 }, () => {
    const { user, system } = process.threadCpuUsage()
    hashOf(dataOf(config))
    const now = process.threadCpuUsage()
    return (now.user + now.system - user - system) / 1000
  }).sort((a, b) => a - b)
  console.log(`  ${times[7]!.toFixed(1)} ms`)
  assert.ok(times[0]! < 100, `${times[0]} ms`)
})

test.run()

async function checkedBundle(route: string): Promise<Bundle> {
  const made = await bundle({
    'proxy.config.ts': `import { http, respond } from 'sluice'\nexport default { listeners: { web: http({ listen: ':1', routes: [${route}] }) } }`,
  })
  return { ...made, dataHash: hashOf((await readLocated({ bundle: made, instrumented: instrument(made) })).data()) }
}

async function refusal(made: Bundle): Promise<string | null> {
  try {
    await evaluateChecked(made)
    return null
  } catch (error) {
    return (error as Error).message
  }
}
