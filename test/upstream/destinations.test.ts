/** Upstreams that clients name: kept for each place apart, bounded, and carried over a reload that would open them alike. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Deadlines } from '../../core/deadlines.ts'
import { parseDestination } from '../../core/net/destination.ts'
import { Destinations, type DestinationsOptions } from '../../core/upstream/destinations.ts'
import { DnsCache } from '../../core/upstream/dns.ts'
import { ParentHealths } from '../../core/upstream/parent-healths.ts'
import { forwarding, local } from '../support/forward.ts'
import { startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'

const nothing = (): void => {}

test('of more than so many, the place asked for longest ago is let go', () => {
  const environment = { dns: new DnsCache(), deadlines: new Deadlines(), counted: nothing }
  // Whatever is told of them, nobody listens.
  const events = new Proxy({}, { get: () => nothing }) as DestinationsOptions['events']
  const destinations = new Destinations({
    ...{ name: 'out', guard: () => null, parents: [], healths: new ParentHealths('out', nothing), events, environment },
    most: 2,
  })
  const to = (place: string) => destinations.to(parseDestination(place, 80)!)
  const [a, b] = [to('a.test'), to('b.test')]
  assert.is(to('A.test:80'), a)
  to('c.test')
  assert.is(to('a.test'), a)
  assert.is.not(to('b.test'), b)
  assert.is.not(to('a.test:81'), a)
})

test('a reload keeps connections that it would open again, and closes those that it would not', async () => {
  await using origin = await startOrigin()
  await using proxy = await startProxy(forwarding())
  const get = `GET http://${origin.address}/ HTTP/1.1\r\nHost: x\r\n\r\n`
  using c = await proxy.connect()
  await c.send(get).response()
  proxy.use(forwarding({ anonymity: 'high' }))
  await c.send(get).response()
  assert.is(origin.connections.length, 1)
  proxy.use(forwarding({ allow: { networks: [...(local.networks as string[]), '10.0.0.0/8'] } }))
  assert.is(await origin.connections[0]!.closed(), 'fin')
  await c.send(get).response()
  assert.is(origin.connections.length, 2)
  proxy.use(forwarding({ allow: { networks: [] } }))
  assert.is((await c.send(get).response()).status, 403)
})

test('a tunnel goes on through any reload', async () => {
  await using origin = await startOrigin(undefined, { raw: true })
  await using proxy = await startProxy(forwarding({}, [origin.port]))
  using c = await proxy.connect()
  await c.send(`CONNECT ${origin.address} HTTP/1.1\r\nHost: x\r\n\r\n`).until('\r\n\r\n')
  proxy.use(forwarding({ allow: { networks: [] }, auth: { users: { ann: 'pw' } } }))
  const connection = await origin.connection()
  c.send('still')
  await connection.until('still')
  connection.write('here')
  await c.until('here')
})

test.run()
