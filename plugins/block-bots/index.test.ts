import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { requestHead, responseHead } from '../../test/support/heads.ts'
import { ask, outcome, Sandboxed } from '../../test/support/sandboxed.ts'

const file = fileURLToPath(new URL('./index.ts', import.meta.url))
const from = (agent: string) => ({ request: requestHead({ path: '/a' }, agent === '' ? {} : { 'User-Agent': agent }) })

test('refuses the agents it is told, tags the rest', async () => {
  const it = await Sandboxed.create('worker')
  const hook = await it.load(file, { options: { agents: ['evilbot'] } })
  const [bad, good, unknown] = await Promise.all(['Mozilla evilbot/2', 'curl/8', ''].map((agent) => ask(hook, from(agent))))
  assert.is(outcome(bad!), 'responded 403')
  assert.is(bad!.request.has('x-tag'), false)
  for (const { verdict, request } of [good!, unknown!]) {
    assert.is(verdict, null)
    assert.is(request.get('x-tag'), 'v1-/a')
  }
  const { response } = await ask(hook, { response: responseHead(200, { 'X-Proxy': 'other' }) })
  assert.is(response!.lines(), 'x-proxy: sluice\r\n')
  await it.close()
})

test('case, missing agents, paths and the status are as the options say', async () => {
  const it = await Sandboxed.create('worker')
  const options = { agents: ['GPTBot'], ignoreCase: true, missing: 'deny', except: ['/robots.txt', '/public/*'], status: 429 }
  const hook = await it.load(file, { options, timeoutMs: 1000 })
  const at = async (path: string, agent: string) =>
    outcome(await ask(hook, { request: requestHead({ path }, agent === '' ? {} : { 'User-Agent': agent }) }))
  assert.is(await at('/', 'x gptbot/1'), 'responded 429')
  assert.is(await at('/', ''), 'responded 429')
  assert.is(await at('/', 'curl/8'), 'went on')
  assert.is(await at('/robots.txt', 'GPTBot'), 'went on')
  assert.is(await at('/public/x', 'GPTBot'), 'went on')
  assert.is(await at('/publicity', 'GPTBot'), 'responded 429')
  await it.close()
})

test('says which option is wrong', async () => {
  const it = await Sandboxed.create('worker')
  try {
    await it.load(file, { options: { agents: 'evilbot' } })
    assert.unreachable()
  } catch (error) {
    assert.match((error as Error).message, /block-bots\/index\.ts:\d+:\d+: plugin block-bots: the options are not valid: agents: /)
  } finally {
    await it.close()
  }
})

test.run()
