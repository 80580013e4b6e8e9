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
test.run()
