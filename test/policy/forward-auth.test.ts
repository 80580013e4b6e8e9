/** `forwardAuth`: another server decides, and is asked with what it needs to know, and no more. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createTransport } from '../../core/capability/transport.ts'
import { Deadlines } from '../../core/deadlines.ts'
import { PENDING, type Verdict } from '../../core/hooks.ts'
import { type ForwardAuthOptions, forwardAuth } from '../../core/index.ts'
import { RequestHead } from '../../core/net/http1/head.ts'
import { Policies } from '../../core/policy/policies.ts'
import { answer, startOrigin } from '../support/origin.ts'

async function ask(options: ForwardAuthOptions, lines: Record<string, string>) {
  const policies = new Policies(new Deadlines(), { send: createTransport() })
  const hook = policies.open('/').hookOf(forwardAuth(options))
  const request = new RequestHead('', 0, 'POST', 1)
  request.host = 'example.com'
  request.path = '/a'
  request.search = '?b=1'
  for (const [name, value] of Object.entries(lines)) request.set(name, value)
  const { promise, resolve } = Promise.withResolvers<Verdict | null>()
  const call = { request, response: null, ip: '10.0.0.1', part: null, ended: false, scheme: 'https', resume: resolve } as const
  assert.is(hook.onRequest!(call), PENDING)
  return { request, verdict: await promise }
}

test('who is let in may be told to the endpoint, and no client tells it', async () => {
  await using auth = await startOrigin(() => answer('fine', 200, ['X-User: ann', 'X-Other: no']))
  const options = {
    url: `http://${auth.address}/verify?x=1`,
    requestHeaders: ['authorization', 'x-team'],
    responseHeaders: ['x-user', 'x-role'],
  }
  const { request, verdict } = await ask(options, {
    authorization: 'Bearer t',
    cookie: 'a=b',
    'x-team': 'blue',
    'x-user': 'root',
    X_Role: 'root',
  })
  assert.is(verdict, null)
  assert.equal([request.get('x-user'), request.get('x-role'), request.get('x_role'), request.get('x-other')], ['ann', null, null, null])
  const { target, method, headers } = await auth.request()
  assert.equal(
    [method, target, headers.authorization, headers['x-team'], headers.cookie],
    ['GET', '/verify?x=1', 'Bearer t', 'blue', undefined],
  )
  assert.equal(
    ['method', 'proto', 'host', 'uri', 'for'].map((name) => headers[`x-forwarded-${name}`]),
    ['POST', 'https', 'example.com', '/a?b=1', '10.0.0.1'],
  )
})

test('any other answer goes to the client, with what a login needs', async () => {
  const lines = ['Location: https://login.example/', 'Set-Cookie: a=1', 'Set-Cookie: b=2', 'X-Inner: no', 'Content-Type: text/html']
  await using auth = await startOrigin(() => answer('go there', 302, lines))
  const { verdict } = await ask({ url: `http://${auth.address}/` }, {})
  assert.equal(verdict, {
    ...{ kind: 'respond', status: 302, body: 'go there' },
    headers: { location: 'https://login.example/', 'set-cookie': ['a=1', 'b=2'], 'content-type': 'text/html' },
  })
})

test('nobody is let in when it cannot be asked, is late, or answers too much', async () => {
  const refused = await startOrigin()
  const { address } = refused
  await refused[Symbol.asyncDispose]()
  const code = async (options: ForwardAuthOptions) => {
    const { verdict } = await ask(options, {})
    return verdict?.kind === 'fail' ? verdict.error.code : verdict
  }
  assert.is(await code({ url: `http://${address}/` }), 'policy_busy')
  await using silent = await startOrigin(() => undefined)
  assert.is(await code({ url: `http://${silent.address}/`, timeout: '20ms' }), 'policy_busy')
  await using chatty = await startOrigin(() => answer('x'.repeat(70_000), 403))
  assert.is(await code({ url: `http://${chatty.address}/` }), 'policy_busy')
})

test.run()
