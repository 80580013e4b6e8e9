import { existsSync, readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { describeParts } from '../suites/parts.ts'
import { describeSandbox } from '../suites/sandbox.ts'
import { ask, outcome, Sandboxed } from '../support/sandboxed.ts'

describeSandbox('worker')
describeParts('worker')

// The limit is one of the clock on the wall: a thread that was not scheduled for as long had a short hook blamed, and in the end parked.
test('worker engine: what seems to run too long after a hook is doubted once, then measured', async () => {
  const it = await Sandboxed.create('worker')
  try {
    const hook = await it.plugin('return { onRequest() { Promise.resolve().then(() => { for (;;) {} }) } }')
    assert.is(outcome(await ask(hook)), 'went on')
    assert.equal(it.told.failures, [])
    for (let i = 0; i < 50 && it.told.failures.length === 0; i++) assert.is(outcome(await ask(hook)), 'went on')
    assert.is(it.told.failures[0]?.detail, 'code after the hook ran too long')
  } finally {
    await it.close()
  }
})

const slackFile = '/proc/self/timerslack_ns'
if (existsSync(slackFile)) {
  test('worker engine: the thread that watches time limits may wake for many at once', async () => {
    const it = await Sandboxed.create('worker')
    try {
      const hook = await it.plugin('return { onRequest() {} }')
      assert.is(outcome(await ask(hook)), 'went on')
      assert.is(readFileSync(slackFile, 'utf8').trim(), '1000000')
    } finally {
      await it.close()
    }
  })
}

// Each of them keeps to its limit of time: a hundred in one turn would hold everybody else's requests.
for (const [what, later] of [
  ['answers to wishes', "host.kv.get('x')"],
  ['timers', 'new Promise((done) => setTimeout(done, 0))'],
]) {
  test(`worker engine: the event loop turns between what a plugin does with its ${what}`, async () => {
    const it = await Sandboxed.create('worker')
    try {
      let asked = 0
      const all = Promise.withResolvers<string>()
      it.perform = () => {
        if (++asked === 90) all.resolve('null')
        return all.promise
      }
      const hook = await it.plugin(
        `const spin = () => { const until = Date.now() + 2; while (Date.now() < until); console.log('done') }
        return { onRequest() { for (let i = 0; i < 90; i++) void ${later}.then(spin) } }`,
        { timeoutMs: 500, grant: ['kv'] },
        `permissions: ['kv'],`,
      )
      await ask(hook)
      let most = 0
      for (let before = 0; before < 90; before = it.told.lines.length) {
        await new Promise((resolve) => setImmediate(resolve))
        most = Math.max(most, it.told.lines.length - before)
      }
      assert.ok(most < 20, `${most} in one turn`)
    } finally {
      await it.close()
    }
  })
}

test.run()
