/** What is told of balancers: the endpoint where the request alone decides, and what decides where it does not. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Sent } from '../../core/explain/explanation.ts'
import { formatExplanation } from '../../core/explain/format.ts'
import { explainer } from './support.ts'

const configOf = (endpoints: readonly string[]): string => `
import { defineConfig, firstAvailable, http, leastRequest, leastTime, maglev, random, ringHash, upstream } from 'sluice'
const endpoints = ${JSON.stringify(endpoints)}
const to = (name: string, balancer: any) => ({ path: '/' + name + '/*', to: upstream(name, { endpoints, balancer }) })
export default defineConfig({ listeners: { web: http({ listen: 0, routes: [
  to('random', random()), to('first', firstAvailable()), to('least', leastRequest({ choices: 3 })), to('time', leastTime()),
  to('ip', ringHash({ key: 'ip' })), to('path', maglev({ key: 'path' })), to('header', maglev({ key: { header: 'X-User' } })),
  to('cookie', ringHash({ key: { cookie: 'sid' } })), to('own', () => 0),
] }) } })`

const ask = await explainer(configOf(['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80']))

async function told(path: string, headers: Record<string, string> = {}): Promise<[string | null, string]> {
  const { outcome } = await ask({ url: `http://x/${path}/`, from: '10.9.8.7', headers })
  return [(outcome as Sent).first, (outcome as Sent).balancing]
}

test('what does not depend on the request alone is told without an endpoint', async () => {
  assert.equal(await told('random'), [null, 'by lot over 3 endpoints'])
  assert.equal(await told('least'), [null, 'the one with the fewest requests under way of 3 drawn from 3 endpoints'])
  assert.equal(await told('time'), [null, 'the one that should answer first of 2 drawn from 3 endpoints'])
  assert.equal(await told('own'), [null, "by the config's own function, which is not run here"])
  assert.equal(await told('header'), [null, 'by lot: maglev goes by the header x-user, which it has not'])
  const { outcome } = await ask({ url: 'http://x/random/' })
  assert.is((outcome as Sent).kind, 'upstream')
})

test('where the request decides the endpoint is named, with what decided; cookies are not shown', async () => {
  const [ip, becauseIp] = await told('ip')
  assert.match(ip!, /^10\.0\.0\.[123]:80$/)
  assert.is(becauseIp, "ring hash of the client's address 10.9.8.7, as long as it is available")
  assert.is((await told('path'))[1], 'maglev of the path /path/, as long as it is available')
  assert.is((await told('header', { 'x-user': 'ann' }))[1], 'maglev of the header x-user ann, as long as it is available')
  const [cookie, becauseCookie] = await told('cookie', { cookie: 'a=1; sid=s3cr3t' })
  assert.match(cookie!, /^10/)
  assert.is(becauseCookie, 'ring hash of the cookie sid, as long as it is available')
  assert.is((await told('first'))[0], '10.0.0.1:80')
})

test('as text', async () => {
  const text = formatExplanation(await ask({ url: 'http://x/least/' }), { color: false })
  assert.match(text, /\n {10}the one with the fewest requests under way of 3 drawn from 3 endpoints\n {10}10\.0\.0\.1:80, 10/)
  const hashed = formatExplanation(await ask({ url: 'http://x/ip/', from: '10.9.8.7' }), { color: false })
  assert.match(hashed, /\n {10}10\.0\.0\.\d:80 first: ring hash of the client's address 10\.9\.8\.7, as long/)
})

test('a sticky client is told to stay, and a split by a key says which part and why', async () => {
  const other = await explainer(`import { defineConfig, http, split, upstream } from 'sluice'
    const a = upstream('a', { endpoints: ['10.0.0.1:80', '10.0.0.2:80'], sticky: { cookie: 'lb' } })
    const b = upstream('b', { endpoints: ['10.0.0.3:80'] })
    export default defineConfig({ listeners: { web: http({ listen: 0, routes: [
      { path: '/a', to: a }, { path: '/ip', to: split([[b, 1], [a, 0]], { by: 'ip' }) }, { to: split([[b, 1], [a, 1]], { by: { cookie: 'u' } }) },
    ] }) } })`)
  const sent = async (path: string, cookie = ''): Promise<Sent> =>
    (await other({ url: `http://x${path}`, from: '10.9.8.7', headers: cookie === '' ? {} : { cookie } })).outcome as Sent
  const fresh = await sent('/a')
  assert.is(fresh.first, '10.0.0.1:80')
  assert.is(fresh.balancing, 'round robin over 2 endpoints, in each worker; from then on the client stays there by the cookie lb')
  const known = await sent('/a', 'lb=s3cr3t')
  assert.is(known.first, null)
  assert.is(known.balancing, 'where its cookie lb says, if that is one of ours; else round robin over 2 endpoints, in each worker')
  assert.equal([(await sent('/ip')).upstream, (await sent('/ip')).splitBecause], ['b', "b by the client's address 10.9.8.7"])
  assert.is((await sent('/x')).splitBecause, 'by lot: it goes by the cookie u, which this request has not')
  assert.match((await sent('/x', 'u=s3cr3t')).splitBecause!, /^[ab] by the cookie u$/)
})

test('those that stand by are counted, and not told as the first', async () => {
  const other = await explainer(`import { defineConfig, http, upstream } from 'sluice'
    const to = upstream('a', { endpoints: [{ address: '10.0.0.1:80', priority: 2 }, '10.0.0.2:80', { address: '10.0.0.3:80', priority: 1 }, { address: '10.0.0.4:80', weight: 0 }] })
    export default defineConfig({ listeners: { web: http({ listen: 0, routes: [{ to }] }) } })`)
  const { first, balancing } = (await other({ url: 'http://x/' })).outcome as Sent
  assert.is(first, '10.0.0.2:80')
  assert.is(balancing, 'the only endpoint that takes requests; 2 others stand by, of a later priority or zone')
})

test('where endpoints are discovered, that is what is told: nothing is looked up', async () => {
  const other = await explainer(`import { defineConfig, dns, file, http, poll, upstream } from 'sluice'
    const to = (name: string, discovery: any) => ({ path: '/' + name, to: upstream(name, { discovery }) })
    export default defineConfig({ listeners: { web: http({ listen: 0, routes: [
      to('dns', dns('api.internal:3000')), to('srv', dns('_http._tcp.api', { srv: true })), to('file', file('/etc/e.json')), to('poll', poll(() => { throw 1 })),
    ] }) } })`)
  const told = async (path: string): Promise<readonly (string | null)[]> => {
    const { first, balancing } = (await other({ url: `http://x/${path}` })).outcome as Sent
    return [first, balancing]
  }
  assert.equal(await told('dns'), [null, 'one of the addresses that DNS has for api.internal, port 3000'])
  assert.equal(await told('srv'), [null, 'one of the hosts that the SRV records of _http._tcp.api name'])
  assert.equal(await told('file'), [null, 'one of the endpoints that the file /etc/e.json holds'])
  assert.equal(await told('poll'), [null, 'one of the endpoints that the function of its discovery returns'])
})

test.run()
