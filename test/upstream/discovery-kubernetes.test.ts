/** Endpoints by the EndpointSlices of Kubernetes: who takes requests by what is said of it, and a watch that outlives what ends it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { kubernetes as byKubernetes, http, upstream } from '../../core/index.ts'
import type { DiscoveryPlan } from '../../core/plan/upstream-plan.ts'
import { ApiClient } from '../../core/upstream/discovery/api-client.ts'
import { type Followed, followedSource } from '../../core/upstream/discovery/follow.ts'
import { endpointsOf, KubernetesSet, type Slice } from '../../core/upstream/discovery/kubernetes.ts'
import { DnsCache } from '../../core/upstream/dns.ts'
import { certificates } from '../support/certificates.ts'
import { eventually } from '../support/deadline.ts'
import { Watched } from '../support/followed.ts'
import { FakeKubernetes } from '../support/kubernetes.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'

type KubernetesPlan = Extract<DiscoveryPlan, { kind: 'kubernetes' }>

function watch(server: string, more: Partial<KubernetesPlan> = {}): Watched {
  const tls = { ca: null, cert: null, key: null, servername: null }
  const where = { service: 'api', namespace: 'shop', port: null, server }
  const plan: KubernetesPlan = { kind: 'kubernetes', ...where, token: null, tokenFile: null, tls, zone: null, ...more }
  return new Watched(new KubernetesSet(plan, new ApiClient(new DnsCache())))
}

const HTTP = [{ name: 'http', port: 80, protocol: 'TCP' }]
type Conditions = NonNullable<NonNullable<Slice['endpoints']>[number]['conditions']>

function sliceOf(addresses: Readonly<Record<string, Conditions>>, more: Partial<Slice> = {}): Slice {
  const endpoints = Object.entries(addresses).map(([address, conditions]) => ({ addresses: [address], conditions }))
  return { metadata: { name: 'api-1' }, addressType: 'IPv4', ports: HTTP, endpoints, ...more }
}

function listOf(slices: readonly Slice[], port: string | number | null = null, zone: string | null = null): string {
  const { endpoints, odd } = endpointsOf(slices, { port, zone })
  return endpoints.map(({ address, drain }) => address + (drain === null ? '' : ` ${drain}`)).join(', ') + (odd === null ? '' : ` ! ${odd}`)
}

const READY = { ready: true, serving: true, terminating: false }
const ENDING = { ready: false, serving: true, terminating: true }
const OVER = { ready: false, serving: false, terminating: true }

test('who is ready takes requests, who terminates and serves drains, and the others are not there', () => {
  assert.is(
    listOf([sliceOf({ '10.0.0.1': READY, '10.0.0.2': ENDING, '10.0.0.3': OVER, '10.0.0.4': { ready: false } })]),
    '10.0.0.1:80, 10.0.0.2:80 sticky',
  )
  // Nothing said is ready.
  assert.is(listOf([sliceOf({ '10.0.0.1': {}, '10.0.0.2': { ready: null } })]), '10.0.0.1:80, 10.0.0.2:80')
  // All pods of a rollout end at once: better these than none.
  assert.is(listOf([sliceOf({ '10.0.0.2': ENDING, '10.0.0.3': OVER })]), '10.0.0.2:80')
  // For a while it stands in two slices.
  assert.is(listOf([sliceOf({ '10.0.0.1': ENDING }), sliceOf({ '10.0.0.1': READY })]), '10.0.0.1:80')
  assert.is(listOf([]), '')
})

test('the port goes by its name or number, and if there is but one needs neither', () => {
  const ports = [
    { name: 'http', port: 8080 },
    { name: 'metrics', port: 9100 },
    { name: 'dns', port: 53, protocol: 'UDP' },
  ]
  const slices = [sliceOf({ '10.0.0.1': READY }, { ports })]
  assert.equal([listOf(slices, 'metrics'), listOf(slices, 8080)], ['10.0.0.1:9100', '10.0.0.1:8080'])
  assert.is(listOf(slices), ' ! the slice api-1 is left out: it has several ports, say which: http (8080), metrics (9100)')
  assert.is(listOf(slices, 'htp'), ' ! the slice api-1 is left out: it has no port htp; there is http (8080), metrics (9100)')
  assert.is(listOf([sliceOf({ '10.0.0.1': READY }, { ports: [] })]), ' ! the slice api-1 is left out: it has no port of TCP')
})

test('of two families IPv4 is taken, IPv6 stands in brackets, and zones count', () => {
  const six = sliceOf({ 'fd00::1': READY }, { addressType: 'IPv6', metadata: { name: 'six' } })
  assert.equal([listOf([six]), listOf([six, sliceOf({ '10.0.0.1': READY })])], ['[fd00::1]:80', '10.0.0.1:80'])
  const endpoints = [
    { addresses: ['10.0.0.1'], conditions: READY, zone: 'b' },
    { addresses: ['10.0.0.2'], conditions: READY, zone: 'a' },
    { addresses: [], conditions: READY },
  ]
  const found = endpointsOf([sliceOf({}, { endpoints })], { port: null, zone: 'a' }).endpoints
  assert.equal(
    found.map(({ address, group }) => [address, group]),
    [
      ['10.0.0.1:80', 1],
      ['10.0.0.2:80', 0],
    ],
  )
})

test('what changes is told at once, and a watch that ends goes on from where it was', async () => {
  await using kubernetes = await FakeKubernetes.start()
  kubernetes.put('api-1', sliceOf({ '10.0.0.1': READY }))
  using watched = watch(kubernetes.url)
  await watched.until('10.0.0.1:80')
  await kubernetes.until('watch 101')
  kubernetes.put('api-2', sliceOf({ '10.0.0.2': READY }))
  await watched.until('10.0.0.1:80 10.0.0.2:80')
  kubernetes.put('api-1', sliceOf({ '10.0.0.1': ENDING }))
  await watched.until('10.0.0.2:80 10.0.0.1:80(sticky)')
  kubernetes.delete('api-1')
  await watched.until('10.0.0.2:80')
  const { version } = kubernetes
  kubernetes.endWatches()
  await kubernetes.until(`watch ${version}`)
  kubernetes.bookmark()
  kubernetes.endWatches(true)
  await watched.until(/^! /)
  // From the bookmark on.
  await kubernetes.until(`watch ${kubernetes.version}`)
  kubernetes.put('api-3', sliceOf({ '10.0.0.3': READY }))
  await watched.until('10.0.0.2:80 10.0.0.3:80')
  assert.is(kubernetes.asked.filter((asked) => asked === 'list').length, 1)
})

test('a first reading that makes no sense is told, and is no reason to end', async () => {
  const set: Followed = {
    read: async () => {},
    watch: async () => 'ended',
    found: () => {
      throw new Error('it told 10001 endpoints')
    },
  }
  const told = await new Promise((resolve) => followedSource('Kubernetes api', () => set).ask(resolve))
  assert.is(told, 'it told 10001 endpoints')
})

test('an address that is none takes no other away, and is told', () => {
  const slices = [sliceOf({ '10.0.0.1': READY, 'no place': READY, 'nor this': ENDING }), sliceOf({ '10.0.0.2': READY })]
  assert.is(listOf(slices), '10.0.0.1:80, 10.0.0.2:80 ! no place of the slice api-1 is left out: its address is none')
})

test('a list that comes in pages is read to its end', async () => {
  await using kubernetes = await FakeKubernetes.start()
  kubernetes.page = 2
  for (const i of [1, 2, 3, 4, 5]) kubernetes.put(`api-${i}`, sliceOf({ [`10.0.0.${i}`]: READY }))
  using watched = watch(kubernetes.url)
  await watched.until('10.0.0.1:80 10.0.0.2:80 10.0.0.3:80 10.0.0.4:80 10.0.0.5:80')
  await kubernetes.until('watch 105')
  assert.is(kubernetes.asked.filter((asked) => asked === 'list').length, 3)
})

test('a server that is back is told without waiting for a change', async () => {
  await using kubernetes = await FakeKubernetes.start()
  kubernetes.put('api-1', sliceOf({ '10.0.0.1': READY }))
  using watched = watch(kubernetes.url)
  await watched.until('10.0.0.1:80')
  await kubernetes.until('watch 101')
  kubernetes.endWatches(true)
  await watched.until('! its answer broke off')
  await watched.until('10.0.0.1:80')
  assert.is(kubernetes.asked.filter((asked) => asked === 'list').length, 1)
})

test('where its version is gone all is listed anew, by an answer or in the midst of a watch', async () => {
  await using kubernetes = await FakeKubernetes.start()
  kubernetes.put('api-1', sliceOf({ '10.0.0.1': READY }))
  using watched = watch(kubernetes.url)
  await watched.until('10.0.0.1:80')
  await kubernetes.until('watch 101')
  const listed = (times: number) =>
    eventually(
      () => (kubernetes.asked.filter((asked) => asked === 'list').length === times ? true : undefined),
      `not listed ${times} times`,
    )
  kubernetes.expire()
  await listed(2)
  kubernetes.endWatches()
  kubernetes.put('api-2', sliceOf({ '10.0.0.2': READY }))
  kubernetes.delete('api-1')
  kubernetes.compact()
  await watched.until('10.0.0.2:80')
  await listed(3)
})

test('the token is read again when it was exchanged, and what the server refuses is told in its words', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-token-'))
  try {
    const tokenFile = join(folder, 'token')
    writeFileSync(tokenFile, 'old\n')
    await using kubernetes = await FakeKubernetes.start()
    kubernetes.token = 'old'
    kubernetes.put('api-1', sliceOf({ '10.0.0.1': READY }))
    using watched = watch(kubernetes.url, { tokenFile })
    await watched.until('10.0.0.1:80')
    kubernetes.token = 'new'
    kubernetes.endWatches()
    await watched.until('! 401: Unauthorized')
    writeFileSync(tokenFile, 'new\n')
    kubernetes.put('api-2', sliceOf({ '10.0.0.2': READY }))
    await watched.until('10.0.0.1:80 10.0.0.2:80')
    using other = watch(kubernetes.url, { tokenFile, service: 'secret' })
    await other.until('! 403: endpointslices is forbidden')
    using without = watch(kubernetes.url, { tokenFile: join(folder, 'missing') })
    await without.until(/^! ENOENT/)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test('requests go where the slices say, from the first one on and as they change', async () => {
  await using a = await startOrigin(() => answer('a'))
  await using b = await startOrigin(() => answer('b'))
  const at = ({ address }: { readonly address: string }, conditions: Conditions): Slice => {
    const port = Number(address.split(':')[1])
    return sliceOf({ '127.0.0.1': conditions }, { ports: [{ name: 'http', port }] })
  }
  await using kubernetes = await FakeKubernetes.start()
  kubernetes.put('api-a', at(a, READY))
  const discovery = byKubernetes({ service: 'api', namespace: 'shop', server: kubernetes.url, port: 'http' })
  const to = upstream('api', { discovery, sticky: { cookie: 'lb' } })
  const config = { listeners: { web: http({ listen: 0, routes: [{ to }] }) } }
  await using proxy = await startProxy({ config })
  await eventually(() => (proxy.runtime.upstream('api')!.endpoints.length === 1 ? true : undefined), 'nothing was found')
  using client = await proxy.connect()
  const ask = async (cookie = 'x=y') => {
    const { text, headers } = await client.send(`GET / HTTP/1.1\r\nHost: x\r\nCookie: ${cookie}\r\n\r\n`).response()
    return { text, cookie: headers['set-cookie']?.split(';')[0] }
  }
  const first = await ask()
  assert.is(first.text, 'a')
  // A rollout: the new pod is ready, the old one ends, and its clients stay meanwhile.
  kubernetes.put('api-b', at(b, READY))
  kubernetes.put('api-a', at(a, ENDING))
  await eventually(
    () => (proxy.runtime.upstreamStates[0]!.endpoints.some(({ drain }) => drain === 'sticky') ? true : undefined),
    'none drains',
  )
  assert.equal([(await ask()).text, (await ask()).text, (await ask(first.cookie)).text], ['b', 'b', 'a'])
  kubernetes.delete('api-a')
  await eventually(() => (proxy.runtime.upstream('api')!.endpoints.length === 1 ? true : undefined), 'the old one stays')
  assert.is((await ask(first.cookie)).text, 'b')
})

test('without a server and outside of a cluster that is said', async () => {
  using watched = watch('', { server: null })
  await watched.until(/^! this is no pod of Kubernetes, for there is no KUBERNETES_SERVICE_HOST: say which server$/)
})

test('over TLS an authority that was exchanged is read again', async () => {
  if (certificates === null) return
  const { ca, server, selfSigned } = certificates
  const folder = mkdtempSync(join(tmpdir(), 'sluice-authority-'))
  try {
    const file = join(folder, 'ca.crt')
    writeFileSync(file, selfSigned.cert)
    await using kubernetes = await FakeKubernetes.start(server)
    kubernetes.put('api-1', sliceOf({ '10.0.0.1': READY }))
    using watched = watch(kubernetes.url, { tls: { ca: file, cert: null, key: null, servername: null } })
    await watched.until(/^! .*certificate/)
    writeFileSync(file, ca.cert)
    await watched.until('10.0.0.1:80')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test.run()
