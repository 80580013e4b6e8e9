/**
 * A plugin is profiled while it is asked: it moves to a process made for that and back, between two crossings. What is asked on either
 * side of a move is answered, and the profile names the plugin's own lines.
 */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Hook } from '../../core/hooks.ts'
import { type CpuProfile, selfMicros } from '../../core/sandbox/profile.ts'
import { reaches } from '../suites/hostile.ts'
import { eventually } from '../support/deadline.ts'
import { requestHead } from '../support/heads.ts'
import { ask, Sandboxed } from '../support/sandboxed.ts'

const burning = `  function burnSlowly(rounds: number) { let sum = 0; for (let i = 0; i < rounds; i++) sum += Math.sqrt(i); return sum }
  let count = 0
  return { async onRequest(req) {
    await null
    return respond(200, String(burnSlowly(20_000) > 0 ? ++count : 0))
  } }`

for (const isolation of ['worker', 'process'] as const) {
  const test = suite<{ box: Sandboxed }>(`profiling of a plugin in a ${isolation}`)
  test.before.each(async (world) => {
    world.box = await Sandboxed.create(isolation)
  })
  test.after.each((world) => world.box.close())

  test('what burns is named with its line, no call is lost, and the plugin is back where it was', async ({ box }) => {
    const hook = await box.plugin(burning, { timeoutMs: 200, deadlineMs: 20_000 })
    const load = askOnAndOn(hook)
    const { calls, profile } = await box.sandbox.profile('tried', 400)
    await load.stop()
    assert.ok(calls > 0)
    assert.equal(box.told.failures, [])
    assert.ok(load.answers.length > calls)
    assert.is(load.answers.filter((status) => status !== 200).length, 0)
    const { callFrame } = hottest(profile)
    assert.is(callFrame.functionName, 'burnSlowly')
    const lines = readFileSync(fileURLToPath(callFrame.url), 'utf8').split('\n')
    assert.match(lines[callFrame.lineNumber]!, /function burnSlowly/)
    assert.equal(
      box.sandbox.states.map(({ engine, state, restarts }) => [engine, state, restarts]),
      [[isolation, 'ready', 0]],
    )
    assert.is((await ask(hook)).verdict?.kind, 'respond')
  })

  test('one profile at a time; of a plugin that is not there none', async ({ box }) => {
    await box.plugin(burning, { timeoutMs: 200 })
    const first = box.sandbox.profile('tried', 10)
    const second = await box.sandbox.profile('tried', 10).catch((error: Error) => error.message)
    assert.is(second, 'tried is being profiled: one at a time')
    assert.is(await box.sandbox.profile('other', 10).catch((error: Error) => error.message), 'there is no plugin other')
    assert.is((await first).calls, 0)
  })

  test.run()
}

const test = suite<{ box: Sandboxed }>('the process of a profile')
test.before.each(async (world) => {
  world.box = await Sandboxed.create('worker')
})
test.after.each((world) => world.box.close())

const reaching = [
  ...reaches,
  {
    name: 'the host by what an import is refused with',
    body: `const name = 'fs'; return respond(200, await import(name).catch((e) => { try { return e.constructor.constructor('return typeof process')() } catch (e) { return e.name } }))`,
    found: /^EvalError$/,
  },
]

test('a plugin that reaches out of its realm finds nothing', async ({ box }) => {
  const tries = reaching.map(({ body }) => `async (req) => { ${body} }`).join(',\n')
  const hook = await box.plugin(`const tries = [${tries}]\nreturn { onRequest(req) { return tries[Number(req.path.slice(1))](req) } }`)
  const profiled = box.sandbox.profile('tried', 1000)
  await eventually(() => (box.sandbox.states[0]?.engine === 'process' ? true : undefined), 'it was not moved')
  const at = (i: number) => ask(hook, { request: requestHead({ path: `/${i}` }) })
  const asking = Promise.all(reaching.map((_, i) => at(i)))
  // A refused import is told in there with the next crossing.
  const isToldBy = setInterval(() => void at(1), 10)
  const asked = await asking.finally(() => clearInterval(isToldBy))
  assert.is(box.sandbox.states[0]?.engine, 'process')
  for (const [i, { name, found }] of reaching.entries()) {
    const { verdict } = asked[i]!
    assert.match(verdict?.kind === 'respond' ? verdict.body : JSON.stringify(box.told.failures), found, name)
  }
  assert.ok((await profiled).calls >= reaching.length)
})

test('a plugin that never gives way ends its process; its calls fail, and it is back where it was', async ({ box }) => {
  const hook = await box.plugin("return { onRequest(req) { if (req.path === '/hang') for (;;) {} } }", { timeoutMs: 20 })
  const profiled = box.sandbox.profile('tried', 3000).catch((error: Error) => error.message)
  await eventually(() => (box.sandbox.states[0]?.engine === 'process' ? true : undefined), 'it was not moved')
  const asked = await ask(hook, { request: requestHead({ path: '/hang' }) })
  assert.is(asked.verdict?.kind, 'fail')
  assert.match(String(await profiled), /^the profile of tried was lost: /)
  assert.is(box.sandbox.states[0]?.engine, 'worker')
})

test('what a hook throws in there is told as ever, with places of its own file alone', async ({ box }) => {
  const hook = await box.plugin("return { onRequest() { throw new Error('on purpose') } }")
  const profiled = box.sandbox.profile('tried', 500)
  await eventually(() => (box.sandbox.states[0]?.engine === 'process' ? true : undefined), 'it was not moved')
  await ask(hook)
  await profiled
  await ask(hook)
  const [within, after] = box.told.failures
  assert.match(within!.detail, /^Error: on purpose\n +at .*plugin-0\.ts:3:/)
  assert.is(within!.detail, after!.detail)
})

test('a plugin that cannot be set up any more does not stay in there', async ({ box }) => {
  let mayStart = true
  box.perform = async () => {
    if (!mayStart) throw new Error('not any more')
    return 'null'
  }
  await box.plugin("return host.kv.get('a').then(() => ({ onRequest() {} }))", { grant: ['kv'] }, "permissions: ['kv'], ")
  const profiled = box.sandbox.profile('tried', 500)
  await eventually(() => (box.sandbox.states[0]?.engine === 'process' ? true : undefined), 'it was not moved')
  mayStart = false
  await profiled
  await eventually(() => (box.sandbox.states[0]?.state === 'parked' ? true : undefined), 'it is not parked')
  assert.is(box.sandbox.states[0]?.engine, 'worker')
})

test('a plugin that waits, wishes and is set up asynchronously is the same in there', async ({ box }) => {
  box.perform = async ({ method }) => JSON.stringify({ value: method })
  const hook = await box.plugin(
    `return (async () => {
      const first = await host.kv.get('a')
      let timers = 0
      return { async onRequest(req) {
        await new Promise((resolve) => setTimeout(resolve, 5))
        console.log('seen ' + ++timers)
        const again = await host.kv.get('b')
        return respond(200, typeof first + typeof again)
      } }
    })()`,
    { grant: ['kv'], timeoutMs: 200, deadlineMs: 5000 },
    "permissions: ['kv'], ",
  )
  const before = await ask(hook)
  const profiled = box.sandbox.profile('tried', 800)
  await eventually(() => (box.sandbox.states[0]?.engine === 'process' ? true : undefined), 'it was not moved')
  const within = await ask(hook)
  assert.is((await profiled).calls, 1)
  const after = await ask(hook)
  assert.equal(box.told.failures, [])
  assert.equal(within.verdict, before.verdict)
  assert.equal(after.verdict, before.verdict)
  assert.equal(
    box.told.lines.map(({ text }) => text),
    ['seen 1', 'seen 1', 'seen 1'],
  )
})
test.run()

/** Always some calls at once, one after the other. */
function askOnAndOn(hook: Hook): { readonly answers: number[]; stop(): Promise<void> } {
  const answers: number[] = []
  let isOn = true
  const asking = Array.from({ length: 8 }, async () => {
    while (isOn) {
      const { verdict } = await ask(hook)
      answers.push(verdict?.kind === 'respond' ? verdict.status : 0)
      await new Promise((resolve) => setImmediate(resolve))
    }
  })
  const stop = async (): Promise<void> => {
    isOn = false
    await Promise.all(asking)
  }
  return { answers, stop }
}

function hottest(profile: CpuProfile): CpuProfile['nodes'][number] {
  const times = selfMicros(profile)
  const own = profile.nodes.filter(({ callFrame }) => callFrame.url.startsWith('file:'))
  return own.reduce((most, node) => ((times.get(node.id) ?? 0) > (times.get(most.id) ?? 0) ? node : most))
}
