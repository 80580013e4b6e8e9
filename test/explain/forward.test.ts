/** What is told of a request to a forward proxy: the rules it passes or fails, in their order, and what goes on to the host it names. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { formatExplanation } from '../../core/explain/format.ts'
import { OwnAuthority } from '../support/interception.ts'
import { explainer } from './support.ts'

const ask = await explainer(`import { blocklist, defineConfig, forward } from 'sluice'
export default defineConfig({
  listeners: {
    out: forward({
      listen: ':3128',
      auth: { users: { ann: 'pw' } },
      allow: { clients: ['10.0.0.0/8', '127.0.0.1'], hosts: ['*.example.com', 'ads.test'] },
      block: blocklist({ hosts: ['||ads.test^'] }),
      anonymity: 'anonymous',
      use: [{ onRequest() {}, onResponse() {} }],
    }),
  },
})`)

const basic = `Basic ${Buffer.from('ann:pw').toString('base64')}`

test('a plain request: each rule, the hooks, and the very lines that go on', async () => {
  const headers = { 'proxy-authorization': basic, 'client-ip': '10.9.9.9', 'x-forwarded-for': '10.9.9.9' }
  const told = await ask({ url: 'http://www.example.com:8080/a/../b?c', headers })
  assert.equal(
    told.access?.map(({ rule, text, isRefused }) => `${isRefused ? 'no' : 'yes'} ${rule}: ${text}`),
    [
      'yes clients: 127.0.0.1 is one of them',
      'yes auth: it is ann',
      'yes allow: www.example.com:8080 may be reached by plain HTTP; the addresses of www.example.com are judged when they are dialled',
      'yes block: www.example.com is in no list',
    ],
  )
  assert.is(told.listener?.because, 'requests to a forward proxy name where they go; it is the only one')
  assert.is(told.outcome?.kind, 'upstream')
  const text = formatExplanation(told, { color: false })
  assert.match(text, /access {4}✓ clients {2}127\.0\.0\.1 is one of them\n/)
  assert.match(text, /to {8}www\.example\.com:8080: the only endpoint that takes requests\n/)
  assert.match(
    text,
    /sends {5}GET \/a\/\.\.\/b\?c HTTP\/1\.1\n {10}Host: www\.example\.com:8080 .*\n {10}\+ Via: 1\.1 sluice-[0-9a-f]{10}\n/,
  )
  assert.match(text, /- client-ip\n/)
  assert.match(text, /back {6}out\/use\[0\]\n/)
  assert.not.match(text, /YW5u/)
})

test('what is encrypted is asked for by a tunnel', async () => {
  for (const question of [{ url: 'https://www.example.com/x' }, { method: 'CONNECT', url: 'www.example.com:443' }]) {
    const told = await ask(question)
    assert.equal(told.outcome, { kind: 'tunnel', to: 'www.example.com:443' })
    assert.is(told.request?.method, 'CONNECT')
    assert.match(formatExplanation(told, { color: false }), /auth {5}a name and a password are wanted; taken for given here/)
  }
})

test('a refusal is told by its rule, and nothing behind it is asked', async () => {
  const refused = async (question: Parameters<typeof ask>[0]): Promise<string> => {
    const { access, outcome, use } = await ask(question)
    assert.is(use, null)
    const last = access!.at(-1)!
    assert.ok(last.isRefused)
    return `${outcome!.kind === 'error' ? `${outcome!.status} ${outcome!.code}` : outcome!.kind}: ${last.rule}: ${last.text}`
  }
  assert.is(await refused({ from: '192.0.2.1' }), '403 client_refused: clients: 192.0.2.1 is not in allow.clients')
  const headers = { 'proxy-authorization': 'Basic YTpi' }
  assert.is(await refused({ headers }), '407 proxy_auth_required: auth: not the name and password of a user')
  assert.is(await refused({ url: 'http://example.org/' }), '403 host_refused: allow: example.org is not in allow.hosts')
  assert.is(await refused({ url: 'https://www.example.com:22/' }), '403 port_refused: allow: port 22 is not in allow.ports')
  assert.is(await refused({ url: 'http://ads.test/' }), '403 host_blocked: block: ads.test in hosts')
})

test('of SOCKS the same rules are told, and the reply', async () => {
  const socks = await explainer(`import { blocklist, defineConfig, forward, socks } from 'sluice'
    const block = blocklist({ hosts: 'ads.test' })
    export default defineConfig({ listeners: {
      s: socks({ listen: '127.0.0.1:1080', auth: { users: { ann: 'pw' } }, allow: { clients: ['127.0.0.1'] }, quota: { bytes: '10gb', per: '1d' }, block }),
      out: forward({ listen: '127.0.0.1:3128', socks: true, block }),
    } })`)
  const told = async (url: string, more = {}) => {
    const { passed, access, wrong } = await socks({ url, ...more })
    return passed === null
      ? `wrong: ${wrong}`
      : `${passed} | ${access!.map(({ rule, isRefused }) => `${isRefused ? '-' : '+'}${rule}`).join(' ')}`
  }
  assert.is(
    await told('socks5://example.com:443'),
    's speaks SOCKS: SOCKS5 to example.com:443 from 127.0.0.1 is connected, as far as can be told before it is dialled | +clients +auth +allow +quota +block',
  )
  assert.match(await told('socks5://ads.test:443'), 'is answered with reply 2: host_blocked | +clients +auth +allow +quota -block')
  assert.match(
    await told('socks4://127.0.0.1:443', { listener: 'out' }),
    'out speaks SOCKS: SOCKS4 to 127.0.0.1:443 from 127.0.0.1 is rejected: address_refused',
  )
  assert.match(await told('socks5://example.com:22'), 'reply 2: port_refused')
  assert.match(await told('socks5://example.com:443', { from: '192.0.2.1' }), 'is reset, without an answer: client_refused | -clients')
  assert.is(await told('socks5://example.com'), 'wrong: what a client of SOCKS asks for is a host and a port: socks5://example.com:443')
  assert.is(await told('socks5://example.com:443', { listener: 'nobody' }), 'wrong: there is no listener nobody that speaks SOCKS')
  const text = formatExplanation(await socks({ url: 'socks5://ads.test:443' }), { color: false })
  assert.match(text, /quota {4}in 1d, both ways together: each user 10gb/)
})

test('what is no request to a proxy is refused as it would be', async () => {
  const { request } = await ask({ url: 'http://user@www.example.com/' })
  assert.equal([request?.refused?.code, request?.refused?.status], ['bad_host', 400])
})

test('whether TLS in a tunnel is read is told, and by whom it is signed for', async () => {
  using authority = new OwnAuthority(['example.com'])
  const { cert, key } = authority.files
  const ask = await explainer(`import { defineConfig, forward, intercept } from 'sluice'
export default defineConfig({
  listeners: { out: forward({ listen: '127.0.0.1:3128', intercept: intercept({ ca: { cert: '${cert}', key: '${key}' }, except: ['bank.example.com'] }) }) },
})`)
  const told = async (url: string) => (await ask({ url })).access?.find(({ rule }) => rule === 'intercept')?.text
  assert.match(
    (await told('https://www.example.com/'))!,
    /^TLS to www\.example\.com ends here, by CN=Sluice interception CA .*: its requests go through the same hooks, and the server is verified$/,
  )
  assert.is(await told('https://bank.example.com/'), 'TLS to bank.example.com passes unread: except names it')
  assert.is(await told('https://other.test/'), 'TLS to other.test passes unread: the authority may not sign for it')
  assert.is(await told('http://www.example.com/'), undefined)
})

test('the rule of parents that fits is named, with the parents in their order', async () => {
  const parented = await explainer(`import { defineConfig, forward } from 'sluice'
export default defineConfig({
  listeners: {
    out: forward({
      listen: '127.0.0.1:3128',
      parent: [{ hosts: '*.corp.example', via: 'direct' }, { hosts: '*.example.com', via: ['http://ann:pw@10.0.0.1:3128', 'socks5://10.0.0.2'] }],
    }),
  },
})`)
  const told = async (url: string) => {
    const { access, outcome } = await parented({ url })
    return [access?.find(({ rule }) => rule === 'parent')?.text, outcome?.kind === 'upstream' ? outcome.requestLine : null]
  }
  assert.equal(await told('http://www.example.com/a'), [
    'goes by way of http://10.0.0.1:3128, or else socks5://10.0.0.2:1080: by parent[1]',
    'GET http://www.example.com/a HTTP/1.1',
  ])
  assert.equal(await told('http://a.corp.example/'), ['goes directly: by parent[0]', 'GET / HTTP/1.1'])
  assert.equal(await told('http://example.org/'), ['goes directly: no rule of parent fits', 'GET / HTTP/1.1'])
  assert.equal(await told('https://www.example.com/'), [
    'goes by way of http://10.0.0.1:3128, or else socks5://10.0.0.2:1080: by parent[1]',
    null,
  ])
})

test('when it may be is told for now or another time, and when it next may be', async () => {
  const ask = await explainer(`import { defineConfig, forward } from 'sluice'
const office = { days: 'mon-fri', from: '08:00', to: '18:00', zone: 'Europe/Berlin' } as const
export default defineConfig({ listeners: { out: forward({ listen: '127.0.0.1:3128', allow: { times: [office, { hosts: 'help.test' }] } }) } })`)
  const timesOf = async (url: string, at: string): Promise<string | undefined> => {
    const { access } = await ask({ url, at: Date.parse(at) })
    return access?.filter(({ rule }) => rule === 'times').map(({ text, isRefused }) => `${isRefused ? 'no' : 'yes'}: ${text}`)[0]
  }
  const rule = 'mon-fri 08:00-18:00 Europe/Berlin (allow.times[0])'
  assert.is(await timesOf('http://a.test/', '2026-11-30T07:00:00Z'), `yes: it is within ${rule}`)
  assert.is(
    await timesOf('http://a.test/', '2026-12-05T12:00:00Z'),
    `no: a.test is reached at other times: ${rule}; next at 2026-12-07 08:00 by the clock of Europe/Berlin`,
  )
  assert.match(String(await timesOf('http://help.test/', '2026-12-05T12:00:00Z')), /^yes: it is within every day 00:00-24:00/)
})

test.run()
