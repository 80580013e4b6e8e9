/** Endpoints by a real etcd: they come and go with their keys, and nothing is lost over what may happen to it. */
import { test } from 'uvu'
import type { DiscoveryPlan } from '../../core/plan/upstream-plan.ts'
import { ApiClient } from '../../core/upstream/discovery/api-client.ts'
import { EtcdSet } from '../../core/upstream/discovery/etcd.ts'
import { DnsCache } from '../../core/upstream/dns.ts'
import { certificates } from '../support/certificates.ts'
import { base64, EtcdServer, hasEtcd } from '../support/etcd.ts'
import { Watched } from '../support/followed.ts'

const withEtcd = hasEtcd() ? test : test.skip
type EtcdPlan = Extract<DiscoveryPlan, { kind: 'etcd' }>

function watch(urls: readonly string[], more: Partial<EtcdPlan> = {}): Watched {
  const tls = { ca: null, cert: null, key: null, servername: null }
  const plan: EtcdPlan = { kind: 'etcd', urls, prefix: '/svc/api/', user: null, token: null, tls, zone: null, ...more }
  return new Watched(new EtcdSet(plan, new ApiClient(new DnsCache())))
}

withEtcd('keys are endpoints in every form that is written, and one that makes no sense keeps nobody out', async () => {
  await using etcd = await EtcdServer.start()
  await etcd.put('/svc/api/1', '10.0.0.1:80')
  await etcd.put('/svc/api/2', JSON.stringify({ address: '10.0.0.2:80', weight: 3 }))
  await etcd.put('/svc/api/3', JSON.stringify({ Op: 0, Addr: '10.0.0.3:80', Metadata: null }))
  await etcd.put('/svc/api/10.0.0.4:80', '')
  await etcd.put('/svc/other/1', '10.9.9.9:80')
  await etcd.put('/svc/api0', '10.9.9.9:80')
  using watched = watch([etcd.url])
  await watched.until('10.0.0.1:80 10.0.0.4:80 10.0.0.2:80*3 10.0.0.3:80')
  await etcd.put('/svc/api/5', 'http://10.0.0.5')
  await watched.until(/^10\.0\.0\.1:80 10.* ! the key \/svc\/api\/5 is left out: .* no scheme$/)
  await etcd.put('/svc/api/5', '{')
  await watched.until(/ ! the key \/svc\/api\/5 is left out: /)
  await etcd.delete('/svc/api/5')
  await etcd.delete('/svc/api/1')
  await watched.until('10.0.0.4:80 10.0.0.2:80*3 10.0.0.3:80')
  const { ID } = await etcd.call('/v3/lease/grant', { TTL: '1' })
  await etcd.put('/svc/api/6', '10.0.0.6:80', String(ID))
  await watched.until('10.0.0.4:80 10.0.0.2:80*3 10.0.0.3:80 10.0.0.6:80')
  // Nobody keeps the lease alive.
  await watched.until('10.0.0.4:80 10.0.0.2:80*3 10.0.0.3:80')
})

withEtcd('while it is away nothing changes, and what happened meanwhile is told when it is back, were it compacted', async () => {
  await using etcd = await EtcdServer.start()
  await etcd.put('/svc/api/1', '10.0.0.1:80')
  using watched = watch([etcd.url])
  await watched.until('10.0.0.1:80')
  await etcd.stop()
  await watched.until(/^! /)
  await etcd.start()
  await etcd.put('/svc/api/2', '10.0.0.2:80')
  await watched.until('10.0.0.1:80 10.0.0.2:80')
  await etcd.stop()
  await watched.until(/^! /)
  // Everything in between is gone from its history before anybody could follow it.
  await etcd.start()
  await etcd.delete('/svc/api/1')
  await etcd.put('/svc/api/3', '10.0.0.3:80')
  const { header } = (await etcd.call('/v3/kv/range', { key: base64('x') })) as { header: { revision: string } }
  await etcd.call('/v3/kv/compaction', { revision: header.revision, physical: true })
  await watched.until('10.0.0.2:80 10.0.0.3:80')
  // A cluster that was set up anew has other keys, and smaller revisions.
  await etcd.stop()
  etcd.clear()
  await etcd.start()
  await etcd.put('/svc/api/9', '10.0.0.9:80')
  await watched.until('10.0.0.9:80')
})

withEtcd('a user is let in by a password, a token that is worth nothing any more is exchanged, and another member is asked', async () => {
  await using etcd = await EtcdServer.start()
  await etcd.call('/v3/auth/user/add', { name: 'root', password: 'secret' })
  await etcd.call('/v3/auth/user/grant', { user: 'root', role: 'root' })
  await etcd.put('/svc/api/1', '10.0.0.1:80')
  await etcd.call('/v3/auth/enable', {})
  using anybody = watch([etcd.url])
  await anybody.until(/^! .*user name is empty/)
  using wrong = watch([etcd.url], { user: { name: 'root', password: 'wrong' } })
  await wrong.until(/^! .*authentication failed/)
  const user = { name: 'root', password: 'secret' }
  using watched = watch(['http://127.0.0.1:1', etcd.url], { user })
  await watched.until(/^! .*ECONNREFUSED/)
  await watched.until('10.0.0.1:80')
  // Its tokens are gone with it.
  await etcd.stop()
  await etcd.start()
  const { token } = await etcd.call('/v3/auth/authenticate', user)
  await etcd.call('/v3/kv/put', { key: base64('/svc/api/2'), value: base64('10.0.0.2:80') }, String(token))
  await watched.until('10.0.0.1:80 10.0.0.2:80')
  using byToken = watch([etcd.url], { token: String(token) })
  await byToken.until('10.0.0.1:80 10.0.0.2:80')
})

const withTls = certificates === null ? test.skip : withEtcd
withTls('over TLS its certificate is checked by the authority that is given', async () => {
  const { ca, server, selfSigned } = certificates!
  await using etcd = await EtcdServer.start(server)
  const tls = { ca: ca.certFile, cert: null, key: null, servername: null }
  using trusted = watch([etcd.url], { tls })
  await trusted.until('')
  using other = watch([etcd.url], { tls: { ...tls, ca: selfSigned.certFile } })
  await other.until(/^! .*certificate/)
})

test('one that is not there is told, again and again at longer times', async () => {
  using watched = watch(['http://127.0.0.1:1'])
  await watched.until(/ECONNREFUSED/)
  await watched.until(/ECONNREFUSED/)
})

test.run()
