/** What is told of a request to a TCP listener: which route has the connection, and of HTTP in it all that is told of HTTP. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { formatExplanation } from '../../core/explain/format.ts'
import { explainer } from './support.ts'

const ask = await explainer(`import { defineConfig, ftp, http, tcp, upstream, respond } from 'sluice'
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
    files: tcp({ listen: ':2121', gateway: ftp({ passivePorts: '50000-50100', address: '203.0.113.5' }), routes: [{ to: '10.0.0.5:21' }] }),
    web: http({ listen: ':8080', routes: [{ to: bank }] }),
  },
})`)

test('a connection that is passed on holds no request to explain', async () => {
  const { wrong, passed } = await ask({ url: 'https://bank.test:8443/x' })
  assert.is(wrong, null)
  assert.is(passed, 'edge is a TCP listener: edge/bank passes TLS for bank.test on to bank, as it is, and sees no request')
  const asked = await ask({ url: 'https://asked.test:8443/' })
  assert.is(
    asked.passed,
    'edge is a TCP listener: edge/asked passes TLS for asked.test on to bank, as it is, and sees no request; before it asks edge/asked/use[0]',
  )
  const other = await ask({ url: 'https://other.test:8443/' })
  assert.is(other.passed, 'edge is a TCP listener, and none of its routes takes TLS for other.test: it is closed')
})

test('a connection may be asked about without a request', async () => {
  const passed = async (url: string, more = {}) => {
    const told = await ask({ url, ...more })
    return told.passed ?? `wrong: ${told.wrong}`
  }
  assert.is(
    await passed('tls://bank.test:8443'),
    'edge is a TCP listener: edge/bank passes TLS for bank.test on to bank, as it is, and sees no request',
  )
  assert.is(await passed('tcp://:8443'), 'edge is a TCP listener, and none of its routes takes what is no TLS: it is closed')
  assert.match(await passed('tls://bank.test', { listener: 'edge' }), 'edge/bank passes TLS')
  assert.match(
    await passed('tcp://:8443', { from: '10.1.2.3' }),
    'finds requests in it; ask about one: sluice explain GET http://example.com/',
  )
  assert.is(
    await passed('tcp://:2121'),
    'files is a gateway of FTP: files[0] passes commands on to 10.0.0.5:21, and opens a port from 50000 to 50100 of 203.0.113.5 for data',
  )
  assert.is(await passed('tcp://:1'), 'wrong: no TCP listener listens on port 1')
  assert.is(await passed('tcp://x', { listener: 'web' }), 'wrong: there is no TCP listener web; there are edge, files')
  assert.match(await passed('tcp://a b'), /^wrong: tcp:\/\/a b names no place: /)
  assert.match(await passed('gopher://x'), /^wrong: gopher:\/\/x is no URL of a kind that is known/)
  const text = formatExplanation(await ask({ url: 'tls://bank.test:8443' }), { color: false })
  assert.match(text, /^tls:\/\/bank\.test:8443\n\nway {7}edge is a TCP listener: /)
})

test('what may be a mistyped id is told to be taken for a host', async () => {
  assert.match((await ask({ url: 'nope-1' })).listener!.because, 'nope-1 is taken for a host: the id of a request has ten characters')
  assert.not.match((await ask({ url: 'http://nope-1/' })).listener!.because, 'taken for')
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
