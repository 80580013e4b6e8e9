/** Certificates from a real ACME server, one by each challenge, while the proxy serves. */
import { once } from 'node:events'
import { globSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { certificates } from '../support/certificates.ts'
import { eventually, within } from '../support/deadline.ts'
import { hasPebble, Pebble } from '../support/pebble.ts'
import { freePort, runCommand, startSluice } from '../support/process.ts'

const isHere = certificates !== null && hasPebble()
if (!isHere) console.log('SKIPPED: there is no `pebble` command (Debian: apt-get install pebble)')
const withPebble = isHere ? test : test.skip

withPebble('a certificate by tls-alpn-01 and one by http-01 take the place of placeholders, and nothing is restarted', async () => {
  const [http, tls] = [await freePort(), await freePort()]
  const { ca } = certificates!
  await using pebble = await Pebble.start(ca, { http, tls })
  const config = `import { defineConfig, http, respond } from 'sluice'
const order = { agreeToTerms: true, directory: '${pebble.directory}', directoryCa: './ca.pem', email: 'ops@example.com' }
const routes = [{ respond: respond(200, 'hello') }]
export default defineConfig({
  listeners: {
    plain: http({ listen: '127.0.0.1:${http}', routes }),
    web: http({
      listen: '127.0.0.1:${tls}',
      tls: [
        { acme: { ...order, names: ['one.example.com', 'two.example.com'] } },
        { acme: { ...order, names: 'three.example.com', challenge: 'http-01' } },
      ],
      routes,
    }),
  },
})`
  const files = { 'ca.pem': ca.cert }
  assert.is((await runCommand(['check'], { config, files })).code, 0)
  await using sluice = await startSluice({ config, files, args: ['--workers', '2'] })
  const placeholder = await issuerOf(tls, 'one.example.com')
  assert.match(placeholder, /^Sluice placeholder|^Pebble/)
  const told = (): string => `${sluice.stdout.join('\n')}${sluice.stderr.join('\n')}\n${pebble.output.slice(-2_000)}`
  await eventually(() => ordered(sluice.folder).length === 2 || undefined, told, 60_000)
  for (const name of ['one.example.com', 'two.example.com', 'three.example.com']) {
    await eventually(
      async () => ((await issuerOf(tls, name)).startsWith('Pebble') ? true : undefined),
      () => `${name}\n${told()}`,
      20_000,
    )
  }
  const [account, ...kept] = globSync('.sluice/acme/*/*', { cwd: sluice.folder }).sort()
  assert.match(account!, /account\.key$/)
  assert.is(kept.length, 2)
  for (const file of [account!, ...kept]) assert.is(statSync(join(sluice.folder, file)).mode & 0o777, 0o600)
  const { stdout } = await runCommand(['status'], { folder: sluice.folder })
  assert.match(
    stdout,
    /certificates +one\.example\.com, two\.example\.com until \d{4}-\d\d-\d\d, renewed \d{4}-\d\d-\d\d\n +three\.example\.com until/,
  )
  assert.is(await sluice.stop(), 0)
})

withPebble('a certificate for all names below one by dns-01: records are set by the config, and taken out', async () => {
  const tls = await freePort()
  const { ca } = certificates!
  await using pebble = await Pebble.start(ca, { http: 1, tls: 1 })
  const texts = new Map<string, string[]>()
  const acts: string[] = []
  const api = createServer((req, res) => {
    const { pathname, searchParams } = new URL(req.url!, 'http://api')
    const [name, value] = [searchParams.get('name')!, searchParams.get('value')!]
    acts.push(`${pathname} ${name}`)
    const others = (texts.get(name) ?? []).filter((one) => one !== value)
    texts.set(name, pathname === '/set' ? [...others, value] : others)
    pebble.names.zone = { a: ['127.0.0.1'], txt: texts }
    res.end()
  }).listen(0, '127.0.0.1')
  await once(api, 'listening')
  const { port } = api.address() as AddressInfo
  const config = `import { defineConfig, http, respond } from 'sluice'
const change = (act) => async ({ name, value }) => { await fetch('http://127.0.0.1:${port}/' + act + '?' + new URLSearchParams({ name, value })) }
export default defineConfig({
  listeners: {
    web: http({
      listen: '127.0.0.1:${tls}',
      tls: { acme: { agreeToTerms: true, directory: '${pebble.directory}', directoryCa: './ca.pem', names: ['*.example.com', 'example.com'],
        challenge: 'dns-01', dns: { set: change('set'), remove: change('remove'), wait: '10ms' } } },
      routes: [{ respond: respond(200, 'hello') }],
    }),
  },
})`
  try {
    await using sluice = await startSluice({ config, files: { 'ca.pem': ca.cert }, args: ['--workers', '1'] })
    const told = (): string => `${sluice.stdout.join('\n')}${sluice.stderr.join('\n')}\n${pebble.output.slice(-2_000)}`
    await eventually(() => ordered(sluice.folder).length === 1 || undefined, told, 60_000)
    for (const name of ['any.example.com', 'example.com'])
      await eventually(
        async () => ((await issuerOf(tls, name)).startsWith('Pebble') ? true : undefined),
        () => `${name}\n${told()}`,
        20_000,
      )
    const record = '_acme-challenge.example.com'
    assert.equal(acts.toSorted(), [`/remove ${record}`, `/remove ${record}`, `/set ${record}`, `/set ${record}`])
    assert.equal([...texts], [[record, []]])
    assert.match(ordered(sluice.folder)[0]!, /_\.example\.com-\w+\.pem$/)
  } finally {
    api.close()
  }
})

withPebble('an authority that refuses is told in the log and in status, and what is served stays', async () => {
  const [http, tls] = [await freePort(), await freePort()]
  const { ca } = certificates!
  // Nobody listens where it looks.
  await using pebble = await Pebble.start(ca, { http: await freePort(), tls: await freePort() })
  const config = `import { defineConfig, http, respond } from 'sluice'
export default defineConfig({
  listeners: {
    plain: http({ listen: '127.0.0.1:${http}', routes: [{ respond: respond(200, 'hello') }] }),
    web: http({
      listen: '127.0.0.1:${tls}',
      tls: { acme: { agreeToTerms: true, directory: '${pebble.directory}', directoryCa: './ca.pem', names: 'one.example.com' } },
      routes: [{ respond: respond(200, 'hello') }],
    }),
  },
})`
  await using sluice = await startSluice({ config, files: { 'ca.pem': ca.cert }, args: ['--workers', '1'] })
  await sluice.line(/no certificate: Failed to connect/, 60_000)
  assert.match(await issuerOf(tls, 'one.example.com'), /^Sluice placeholder/)
  const { stdout } = await runCommand(['status'], { folder: sluice.folder })
  assert.match(stdout, /certificates +one\.example\.com none yet, the last order failed: .*, next /)
})

/** Files of certificates that have come: to look for them costs less than to shake hands. */
function ordered(folder: string): string[] {
  return globSync('.sluice/acme/*/*.pem', { cwd: folder })
}

/** Common name of who issued what is served for that name. */
function issuerOf(port: number, servername: string): Promise<string> {
  return within(
    new Promise((resolve, reject) => {
      const socket = connectTls({ port, host: '127.0.0.1', servername, rejectUnauthorized: false }, () => {
        resolve(String(socket.getPeerCertificate().issuer.CN))
        socket.destroy()
      })
      socket.once('error', reject)
    }),
    `a certificate for ${servername}`,
    20_000,
  )
}

test.run()
