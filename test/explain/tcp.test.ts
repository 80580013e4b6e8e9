/** What is told of a request to a TCP listener: which route has the connection, and of HTTP in it all that is told of HTTP. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { formatExplanation } from '../../core/explain/format.ts'
import { explainer } from './support.ts'

const ask = await explainer(`import { defineConfig, http, tcp, upstream, respond } from 'sluice'
const bank = upstream('bank', { endpoints: ['10.0.0.5:443'] })
export default defineConfig({
  listeners: {
    edge: tcp({
      listen: ':8443',
      routes: [
        { name: 'bank', sni: 'bank.test', to: bank },
        { name: 'asked', sni: 'asked.test', to: bank, use: [{ onConnection() {} }] },
        { from: '10.0.0.0/8', to: http({ use: [{ onRequest() {} }], routes: [{ path: '/a', respond: respond(200, 'a') }] }) },
      ],
    }),
    web: http({ listen: ':8080', routes: [{ to: bank }] }),
  },
})`)

test('a connection that is passed on holds no request to explain', async () => {
  const { wrong } = await ask({ url: 'https://bank.test:8443/x' })
  assert.is(wrong, 'edge is a TCP listener: edge/bank passes TLS for bank.test on to bank, as it is, and sees no request')
  const asked = await ask({ url: 'https://asked.test:8443/' })
  assert.is(
    asked.wrong,
    'edge is a TCP listener: edge/asked passes TLS for asked.test on to bank, as it is, and sees no request; before it asks edge/asked/use[0]',
  )
  const other = await ask({ url: 'https://other.test:8443/' })
  assert.is(other.wrong, 'edge is a TCP listener, and none of its routes takes TLS for other.test: it is closed')
})

test('of HTTP in a route everything is told', async () => {
  const told = await ask({ url: 'http://bank.test:8443/a', from: '10.1.2.3' })
  assert.equal([told.listener?.name, told.listener?.because], ['edge[2]/web', 'edge[2] takes what is no TLS'])
  assert.is(told.outcome?.kind, 'respond')
  assert.equal(
    told.use?.map(({ key }) => key),
    ['edge[2]/web/use[0]'],
  )
  const text = formatExplanation(told, { color: false })
  assert.match(text, /edge\[2\]\/web {2}http {2}proxy\.config\.ts:10:/)
  assert.match(text, /✓ edge\[2\]\/web\[0\] {2}proxy\.config\.ts:10:/)
})

test('a URL without a port of one reaches HTTP as ever', async () => {
  assert.is((await ask({ url: 'http://bank.test/' })).listener?.name, 'web')
})

test.run()
