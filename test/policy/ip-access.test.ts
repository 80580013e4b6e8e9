/** `ipAccess`: by the client's address as `trust` finds it, on HTTP and on TCP. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ipAccess, tcp } from '../../core/index.ts'
import { startOrigin } from '../support/origin.ts'
import { get, startWith } from '../support/policy.ts'
import { startProxy } from '../support/proxy.ts'

test('deny is stronger than allow, and what allow does not have stays outside', async () => {
  await using origin = await startOrigin()
  await using proxy = await startWith([ipAccess({ allow: ['10.0.0.0/8', '2001:db8::/32'], deny: '10.1.0.0/16' })], origin)
  using c = await proxy.connect()
  const statuses: number[] = []
  for (const from of ['10.0.0.1', '10.1.0.1', '11.0.0.1', '2001:db8::5', '2001:db9::5', '::ffff:10.2.2.2'])
    statuses.push((await c.send(get('/', [], from)).response()).status)
  assert.equal(statuses, [200, 403, 403, 200, 403, 200])
  const { reason, decidedBy, detail } = await proxy.exchange(2)
  assert.equal([reason, decidedBy, detail], ['forbidden', 'ipAccess', 'the address is denied'])
})

test('deny alone lets all others in', async () => {
  await using origin = await startOrigin()
  await using proxy = await startWith([ipAccess({ deny: ['10.1.0.0/16'] })], origin)
  using c = await proxy.connect()
  assert.is((await c.send(get('/', [], '10.1.0.1')).response()).status, 403)
  assert.is((await c.send(get('/', [], '8.8.8.8')).response()).status, 200)
})

test('on a TCP listener who is denied is closed before anything is dialled', async () => {
  await using origin = await startOrigin(() => undefined, { raw: true })
  const edge = tcp({ listen: ':1', use: [ipAccess({ deny: '127.0.0.2' })], routes: [{ to: origin.address }] })
  await using proxy = await startProxy({ config: { listeners: { edge } } })
  // The reset may come before it knows that it is connected.
  await proxy.connect({ localAddress: '127.0.0.2' }).then(
    (denied) => denied.closed(),
    () => {},
  )
  assert.is((await proxy.tunnel()).reason, 'connection_denied')
  assert.is(origin.connections.length, 0)
  using other = await proxy.connect()
  other.send('x')
  await origin.connection()
})

test.run()
