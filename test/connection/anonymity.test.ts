/** What an origin sees of the client behind a forward proxy, on each level of anonymity: the very bytes. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ForwardOptions } from '../../core/index.ts'
import { forwarding } from '../support/forward.ts'
import { startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'

const OWN = 'User-Agent: curl/8\r\nAccept: */*\r\n'
const TELLTALES = [
  ...[
    'X-Forwarded-For: 10.1.1.1',
    'X-Forwarded-Host: in.example',
    'X_Forwarded_For: 10.1.1.1',
    'Forwarded: for=10.1.1.1',
    'X-Real-IP: 10.1.1.1',
  ],
  ...[
    'Client-IP: 10.1.1.1',
    'True-Client-IP: 10.1.1.1',
    'X-Client-IP: 10.1.1.1',
    'X-Cluster-Client-IP: 10.1.1.1',
    'CF-Connecting-IP: 10.1.1.1',
  ],
  ...['X-Originating-IP: 10.1.1.1', 'X-Remote-Addr: 10.1.1.1', 'X-ProxyUser-IP: 10.1.1.1', 'Proxy-Client-IP: 10.1.1.1', 'X-Proxy-ID: 7'],
  ...['Proxy-Connection: keep-alive', 'Proxy-Authorization: Basic YTpi', 'Client-Cert: :abc:'],
]
  .map((line) => `${line}\r\n`)
  .join('')

/** The head that the origin got, without what the client named itself. */
async function seen(anonymity: ForwardOptions['anonymity'], lines: string): Promise<string> {
  await using origin = await startOrigin()
  await using proxy = await startProxy(forwarding({ anonymity }))
  using c = await proxy.connect()
  await c.send(`GET http://${origin.address}/a HTTP/1.1\r\nHost: ${origin.address}\r\n${lines}\r\n`).response()
  const [connection] = origin.connections
  return connection!.received
    .toString('latin1')
    .replaceAll(origin.address, 'ORIGIN')
    .replace(/sluice-[0-9a-f]{10}/, 'SLUICE')
}

test("none: the client's address and the proxy, and nobody's word but the socket's", async () => {
  const told = 'X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: ORIGIN\r\n'
  for (const anonymity of [undefined, 'none'] as const) {
    const head = await seen(
      anonymity,
      `${OWN}X-Forwarded-For: 10.1.1.1\r\nX_Real_IP: 10.1.1.1\r\nForwarded: for=10.1.1.1\r\nVia: 1.1 inner\r\n`,
    )
    assert.is(head, `GET /a HTTP/1.1\r\nHost: ORIGIN\r\n${OWN}Via: 1.1 inner\r\n${told}Via: 1.1 SLUICE\r\n\r\n`)
  }
})

test('anonymous: the proxy, and nothing of the client', async () => {
  assert.is(
    await seen('anonymous', `${OWN}${TELLTALES}Via: 1.1 inner\r\n`),
    `GET /a HTTP/1.1\r\nHost: ORIGIN\r\n${OWN}Via: 1.1 inner\r\nVia: 1.1 SLUICE\r\n\r\n`,
  )
})

test('high: what a client without a proxy would send', async () => {
  assert.is(await seen('high', `${OWN}${TELLTALES}Via: 1.1 inner\r\n`), `GET /a HTTP/1.1\r\nHost: ORIGIN\r\n${OWN}\r\n`)
})

test.run()
