/** Clients that know of no proxy, before one that a firewall sends them to: three hosts in network namespaces, rules as the command prints them. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { firewallRules } from '../../core/explain/firewall.ts'
import { makeHook } from '../../core/hooks.ts'
import { blocklist, forward, http, intercept, original, respond, tcp } from '../../core/index.ts'
import { compilePlan } from '../../core/plan/compile.ts'
import { type Certificates, withCertificates } from '../support/certificates.ts'
import { eventually } from '../support/deadline.ts'
import { Namespaces, whyNoNamespaces } from '../support/namespaces.ts'
import { type Sluice, startSluice } from '../support/process.ts'

const why = whyNoNamespaces()
if (why !== null) console.log(`SKIPPED: ${why}`)
const secure = why === null ? withCertificates(test) : (name: string) => test.skip(name)

const listenersFor = ({ ca }: Certificates) => ({
  web: forward({
    listen: '0.0.0.0:3129',
    transparent: 'redirect',
    allow: { clients: '10.201.1.0/24' },
    block: blocklist({ hosts: 'blocked.test' }),
  }),
  gate: tcp({
    listen: ':3130',
    transparent: 'tproxy',
    routes: [
      { name: 'denied', sni: 'denied.test', to: '127.0.0.1:9' },
      { name: 'all', to: original() },
    ],
  }),
  api: http({
    listen: '0.0.0.0:3131',
    transparent: 'redirect',
    routes: [
      { path: '/here', respond: respond(200, 'answered between') },
      { name: 'on', to: original() },
    ],
  }),
  read: forward({
    listen: '0.0.0.0:3132',
    transparent: 'redirect',
    allow: { clients: '10.201.1.0/24', ports: [9443] },
    intercept: intercept({ ca: { cert: ca.certFile, key: ca.keyFile }, verifyUpstream: { ca: ca.certFile } }),
  }),
})

/** Tells what was asked of it, on ports of HTTP and of HTTPS. */
const SERVER = `
const { createServer } = require('node:http')
const { createServer: createSecure } = require('node:https')
const { readFileSync } = require('node:fs')
const tell = (req, res) => res.end([req.socket.localPort, req.headers.host, req.url, req.headers['x-forwarded-for'] ?? '-', req.socket.remoteAddress.replace('::ffff:', '')].join(' '))
const files = { cert: readFileSync(process.argv[1]), key: readFileSync(process.argv[2]) }
const servers = [80, 8080, 9080].map((port) => createServer(tell).listen(port))
servers.push(...[443, 8443, 9443].map((port) => createSecure(files, tell).listen(port)))
Promise.all(servers.map((server) => new Promise((done) => server.once('listening', done)))).then(() => console.log('ready'))
`

secure('redirect and tproxy: who goes where, and who does not', async (made) => {
  await using hosts = new Namespaces(['www.example.com', 'blocked.test', 'example.com'])
  const { server } = hosts
  await hosts.start('server', process.execPath, '-e', SERVER, made.server.certFile, made.server.keyFile)
  const listeners = listenersFor(made)
  await using sluice = await startSluice({
    config: `export default ${JSON.stringify({ listeners })}`,
    args: ['--workers', '1', '--no-watch'],
    by: hosts.by('between'),
  })
  const plan = compilePlan({ listeners }, { generation: 0, folder: '/', bindUse: (_, key) => makeHook(key, {}) })
  const applyRules = (listener: string | null, ports: readonly number[], undo: boolean): void => {
    const said = firewallRules(plan, { listener, ports, interface: 'to-client', user: null, undo })
    hosts.run('between', 'sh', '-ec', 'rules' in said ? said.rules : (assert.unreachable(said.wrong) ?? ''))
  }
  for (const [listener, ports] of [
    ['web', [80, 443]],
    ['gate', [8080, 8443]],
    ['api', [9080]],
    ['read', [9443]],
  ] as const) {
    // What is there already is no error.
    applyRules(listener, ports, false)
    applyRules(listener, ports, false)
  }
  const curl = async (url: string, ...more: readonly string[]): Promise<string> => {
    const { code, text } = await hosts.ask('client', 'curl', '-sS', '--max-time', '5', '--cacert', made.ca.certFile, ...more, url)
    return code === 0 ? text : `failed: ${code}`
  }
  const status = (url: string, ...more: readonly string[]) => curl(url, '-o', '/dev/null', '-w', '%{http_code}', ...more)
  const named = (name: string, port: number): readonly string[] => ['--resolve', `${name}:${port}:${server}`]

  // Plain HTTP: by the name that it names, at the port that the client wanted; the path as it was written.
  assert.is(
    await curl('http://www.example.com/a%2fb?c', ...named('www.example.com', 80)),
    '80 www.example.com /a%2fb?c 10.201.1.2 10.201.2.1',
  )
  assert.is(await curl(`http://${server}/`), `80 ${server} / 10.201.1.2 10.201.2.1`)
  assert.is(await status('http://blocked.test/', ...named('blocked.test', 80)), '403')
  assert.is(await status('http://nowhere.test/', ...named('nowhere.test', 80)), '502')
  assert.is(await status(`http://${server}/`, '-H', 'Host: 127.0.0.1:3129'), '403')
  // TLS: a tunnel to the name that it asks for; not one byte is decrypted.
  assert.is(await curl('https://www.example.com/x', ...named('www.example.com', 443)), '443 www.example.com /x - 10.201.2.1')
  assert.match(await curl('https://blocked.test/', ...named('blocked.test', 443)), /^failed: (35|56)/)

  // TPROXY: by the address that the client wanted, whatever it names.
  assert.is(await curl('http://www.example.com:8080/', ...named('www.example.com', 8080)), '8080 www.example.com:8080 / - 10.201.2.1')
  assert.is(await curl('https://example.com:8443/y', ...named('example.com', 8443)), '8443 example.com:8443 /y - 10.201.2.1')
  assert.match(await curl('https://denied.test:8443/', ...named('denied.test', 8443)), /^failed: (35|56)/)

  // Read on its way: the server is told of the client.
  assert.is(
    await curl('https://www.example.com:9443/z', ...named('www.example.com', 9443)),
    '9443 www.example.com:9443 /z 10.201.1.2 10.201.2.1',
  )

  // Routes of HTTP before it.
  assert.is(await curl(`http://${server}:9080/here`), 'answered between')
  assert.is(await curl(`http://${server}:9080/there`), `9080 ${server}:9080 /there 10.201.1.2 10.201.2.1`)

  // Whoever was not sent here wants to go nowhere else.
  assert.is(await status('http://10.201.1.1:3131/there'), '400')
  assert.match(await curl('http://10.201.1.1:3130/'), /^failed: (52|56)/)
  assert.is(await status('http://10.201.1.1:3129/'), '400')

  const ofGate = () => logOf(sluice).filter(({ listener }) => listener === 'gate')
  const lines = await eventually(() => (ofGate().length === 4 ? ofGate() : undefined), 'fewer lines')
  const told = lines.map(({ route, destination, reason }) => [route, destination, reason])
  assert.equal(told, [
    ['gate/all', `${server}:8080`, undefined],
    ['gate/all', `${server}:8443`, undefined],
    ['gate/denied', undefined, 'connect_refused'],
    ['gate/all', '10.201.1.1:3130', 'address_refused'],
  ])

  const left = () => `${hosts.run('between', 'nft', 'list', 'tables')}${hosts.run('between', 'ip', 'rule')}`
  assert.match(left(), /sluice_gate_3130[\s\S]*0x51ce/)
  applyRules(null, [], true)
  applyRules(null, [], true)
  assert.not.match(left(), /sluice_|0x51ce/)
})

function logOf({ stdout }: Sluice): readonly Readonly<Record<string, unknown>>[] {
  return stdout.filter((line) => line.startsWith('{"time"')).map((line) => JSON.parse(line) as Record<string, unknown>)
}

test.run()
