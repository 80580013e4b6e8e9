/** Session tickets: one process opens what another one sealed, also with the key before the newest; then no more. */
import type * as tls from 'node:tls'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { makeTicketKey, TicketKeys } from '../../core/net/ticket-keys.ts'
import { terminate, withCertificates } from '../support/certificates.ts'
import { eventually } from '../support/deadline.ts'
import { type RunningProxy, startProxy } from '../support/proxy.ts'

const secure = withCertificates(test)
const GET = 'GET /a HTTP/1.1\r\nHost: example.com\r\n\r\n'
const versions = ['TLSv1.2', 'TLSv1.3'] as const

interface Visit {
  readonly resumed: boolean
  readonly ticket: Buffer
}

async function visit(proxy: RunningProxy, version: tls.SecureVersion, session?: Buffer): Promise<Visit> {
  const options: tls.ConnectionOptions = { servername: 'example.com', minVersion: version, maxVersion: version }
  using client = await proxy.connect({ tls: session === undefined ? options : { ...options, session } })
  const socket = client.socket as tls.TLSSocket
  let ticket: Buffer | undefined
  socket.on('session', (given) => {
    ticket = given
  })
  client.send(GET)
  assert.is((await client.final()).status, 200)
  const resumed = socket.isSessionReused()
  return { resumed, ticket: (await eventually(() => ticket ?? (version === 'TLSv1.2' ? socket.getSession() : undefined), 'no ticket'))! }
}

secure('a client resumes with whoever has the keys, and with nobody else', async (made) => {
  const keys = [makeTicketKey()]
  const options = { listener: { tls: terminate([made.server, made.other]) }, routes: [{ to: ok }] }
  await using one = await startProxy({ ...options, ticketKeys: new TicketKeys(keys) })
  await using two = await startProxy({ ...options, ticketKeys: new TicketKeys(keys) })
  await using stranger = await startProxy({ ...options, ticketKeys: new TicketKeys([makeTicketKey()]) })
  for (const version of versions) {
    const first = await visit(one, version)
    assert.not(first.resumed)
    const second = await visit(two, version, first.ticket)
    assert.ok(second.resumed, version)
    assert.ok((await visit(one, version, second.ticket)).resumed, version)
    assert.not((await visit(stranger, version, first.ticket)).resumed, version)
  }
})

secure('a new key seals, the one before still opens; the one before that does not', async (made) => {
  const keys = [makeTicketKey(), makeTicketKey(), makeTicketKey()]
  const shared = new TicketKeys([keys[0]!])
  await using proxy = await startProxy({ listener: { tls: terminate(made.server) }, routes: [{ to: ok }], ticketKeys: shared })
  for (const version of versions) {
    shared.replace([keys[0]!])
    const old = await visit(proxy, version)
    shared.replace([keys[1]!, keys[0]!])
    const renewed = await visit(proxy, version, old.ticket)
    assert.ok(renewed.resumed, version)
    shared.replace([keys[2]!, keys[1]!])
    assert.not((await visit(proxy, version, old.ticket)).resumed, version)
    assert.ok((await visit(proxy, version, renewed.ticket)).resumed, `${version}: it was sealed anew`)
  }
})

const ok = { kind: 'respond', status: 200, body: 'ok', headers: {} } as const

test.run()
