/** What `explain` says of policies: what each does, and its answer where it can tell without acting. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { formatExplanation } from '../../core/explain/format.ts'
import { explainer } from './support.ts'

const ask = await explainer(`import { basicAuth, defineConfig, http, ipAccess } from 'sluice'
export default defineConfig({
  listeners: {
    web: http({
      listen: ':8080',
      use: [ipAccess({ deny: ['10.0.0.0/8'] })],
      routes: [{ path: '/*', use: [basicAuth({ users: { ops: 'tuesday' } })], to: '127.0.0.1:3001' }],
    }),
  },
})`)

test('a policy is told with what it does and what it answers', async () => {
  const found = await ask({ url: 'http://x/', from: '10.0.0.1' })
  assert.equal(
    found.use!.map(({ key, name, kind, place, hooks }) => [key, name, kind, place, hooks]),
    [
      ['web/use[0]', 'ipAccess', 'policy', 'proxy.config.ts:6:13', ['onRequest']],
      ['web[0]/use[0]', 'basicAuth', 'policy', 'proxy.config.ts:7:36', ['onRequest']],
    ],
  )
  const [access, auth] = found.use!.map(({ policy }) => policy!)
  assert.equal(access, {
    does: 'denies 10.0.0.0/8',
    answer: { status: 403, code: 'forbidden', because: 'the address is denied' },
    isAsked: true,
  })
  assert.equal(auth!.answer, { status: 401, code: 'unauthorized', because: 'no credentials' })
  const text = formatExplanation(found, { color: false })
  assert.match(text, /ipAccess .*\n.*denies 10\.0\.0\.0\/8\n.*answers 403 forbidden: the address is denied/)
  assert.not.match(text, 'tuesday')
})

test('a request that passes is said to pass', async () => {
  const found = await ask({ url: 'http://x/', from: '11.0.0.1', headers: { authorization: `Basic ${btoa('ops:tuesday')}` } })
  assert.equal(
    found.use!.map(({ policy }) => [policy!.answer, policy!.isAsked]),
    [
      [null, true],
      [null, true],
    ],
  )
  assert.match(formatExplanation(found, { color: false }), /realm restricted, 1 user; lets this request pass/)
})

test.run()
