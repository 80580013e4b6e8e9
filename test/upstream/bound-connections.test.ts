/**
 * NTLM and Negotiate count for a connection, not for a request: what follows on it is taken for the same user's. A connection on which they were
 * spoken, and given back for all, would make everybody that user.
 */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { CidrSet } from '../../core/net/cidr.ts'
import { areForConnection, asksForConnection } from '../../core/net/connection-credentials.ts'
import { connectFrames, END_STREAM } from '../support/http2-frames.ts'
import { answer, type OriginConnection, type OriginRequest, startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'

/** As IIS does it: who has logged in on a connection stays it. */
function startServer(name = '') {
  const users = new WeakMap<OriginConnection, string>()
  return startOrigin(({ headers }: OriginRequest, connection) => {
    const [scheme, token] = (headers.authorization ?? '').split(' ')
    if (scheme === 'NTLM' && token === 'first') return answer('', 401, ['WWW-Authenticate: NTLM challenge'])
    if (token === 'third' || scheme === 'Negotiate') users.set(connection, 'ann')
    const user = users.get(connection)
    return user === undefined ? answer('', 401, ['WWW-Authenticate: Negotiate', 'WWW-Authenticate: NTLM']) : answer(user + name)
  })
}

const get = (authorization = ''): string =>
  `GET / HTTP/1.1\r\nHost: x\r\n${authorization === '' ? '' : `Authorization: ${authorization}\r\n`}\r\n`

test('a client logs in by NTLM on one connection, which nobody else gets, and which ends with the client', async () => {
  await using server = await startServer()
  await using proxy = await startProxy({ origin: server })
  using ann = await proxy.connect()
  using bob = await proxy.connect()
  const statuses: number[] = []
  for (const [client, authorization] of [
    [ann, ''],
    [ann, 'NTLM first'],
    [bob, ''],
    [ann, 'NTLM third'],
    [bob, ''],
  ] as const)
    statuses.push((await client.send(get(authorization)).response()).status)
  assert.equal(statuses, [401, 401, 401, 200, 401])
  assert.is((await ann.send(get()).response()).text, 'ann')
  assert.is((await bob.send(get()).response()).status, 401)
  assert.is(server.connections.length, 2)
  ann.socket.end()
  await server.connections[0]!.closed()
  assert.not(server.connections[1]!.isClosed)
})

test('credentials that come unasked bind the connection, too, also over HTTP/2', async () => {
  await using server = await startServer()
  await using proxy = await startProxy({ origin: server })
  using bob = await proxy.connect()
  {
    using ann = await proxy.connect()
    assert.is((await ann.send(get('Negotiate token')).response()).text, 'ann')
    assert.is((await bob.send(get()).response()).status, 401)
    assert.is((await ann.send(get()).response()).text, 'ann')
  }
  using client = await connectFrames(proxy.port, null)
  client.headers(1, [':method', 'GET', ':scheme', 'http', ':authority', 'x', ':path', '/', 'authorization', 'Negotiate token'], END_STREAM)
  assert.is(await client.body(1), 'ann')
  assert.is((await bob.send(get()).response()).status, 401)
})

test('of several endpoints the client goes on with the one on which it logs in', async () => {
  await using one = await startServer(' at one')
  await using two = await startServer(' at two')
  await using proxy = await startProxy({ endpoints: [one, two] })
  using ann = await proxy.connect()
  for (const authorization of ['', 'NTLM first']) assert.is((await ann.send(get(authorization)).response()).status, 401)
  const { text } = await ann.send(get('NTLM third')).response()
  assert.match(text, /^ann at /)
  for (let i = 0; i < 3; i++) assert.is((await ann.send(get()).response()).text, text)
})

test('a proxy before us may bring many users by one connection: none is bound to it', async () => {
  await using server = await startServer()
  await using proxy = await startProxy({ origin: server, listener: { trust: new CidrSet(['127.0.0.0/8']) } })
  using front = await proxy.connect()
  assert.is((await front.send(get('Negotiate token')).response()).text, 'ann')
  assert.is((await front.send(get()).response()).status, 401)
})

test('what counts for a connection is told by its scheme', () => {
  for (const credentials of ['NTLM TlRM', 'negotiate YII', 'Negotiate']) assert.ok(areForConnection(credentials), credentials)
  for (const credentials of ['Basic x', 'Bearer ntlm', 'NTLMv2 x', '']) assert.not(areForConnection(credentials), credentials)
  for (const challenges of ['NTLM', 'Basic realm="a", NTLM', 'negotiate', 'Negotiate, NTLM', 'NTLM TlRM', 'Bearer, Negotiate oYG='])
    assert.ok(asksForConnection(challenges), challenges)
  for (const challenges of ['Basic realm="NTLM"', 'Bearer', null]) assert.not(asksForConnection(challenges), String(challenges))
})

test.run()
