/**
 * A real browser, Chromium: it finds the proxy by the PAC file, loads plain and encrypted pages through it, by SOCKS too, and believes what
 * interception shows it. Its hosts are on this machine, whatever they are called.
 */
import { execFile, spawnSync } from 'node:child_process'
import { createHash, X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type ForwardOptions, pac } from '../../core/index.ts'
import { type Dial, dial } from '../../core/upstream/dial.ts'
import { forwarding } from '../support/forward.ts'
import { certificateFor, OwnAuthority, openTunnel, secureTunnel, startSecureOrigin } from '../support/interception.ts'
import { type RunningProxy, startProxy } from '../support/proxy.ts'

const CHROMIUM = ['chromium', 'chromium-browser', 'google-chrome'].find((name) => spawnSync(name, ['--version']).status === 0)
if (CHROMIUM === undefined) console.log('SKIPPED: there is no chromium to load pages with')
const browsed = CHROMIUM === undefined ? test.skip : test

/** Every name is this machine. */
const here: Dial = (options, done) => {
  const { target } = options
  return dial(target.kind === 'unix' ? options : { ...options, target: { kind: 'ip', host: '127.0.0.1', port: target.port } }, done)
}

/** What a page comes to, once its scripts have settled. */
async function load(url: string, flags: readonly string[]): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-browser-'))
  const quiet = [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-dev-shm-usage',
    '--disable-background-networking',
    '--no-first-run',
  ]
  const args = [
    ...quiet,
    '--disable-component-update',
    `--user-data-dir=${folder}`,
    '--virtual-time-budget=5000',
    ...flags,
    '--dump-dom',
    url,
  ]
  try {
    return await new Promise((resolve, reject) => {
      // A group of its own: it starts others, which end with it.
      execFile(CHROMIUM!, args, { timeout: 60_000, killSignal: 'SIGKILL' }, (error, out) => (error === null ? resolve(out) : reject(error)))
    })
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 10 })
  }
}

/** By which certificates of interception are known, without anybody's store of them. */
async function keyOf(proxy: RunningProxy, place: string): Promise<string> {
  const client = await secureTunnel(await openTunnel(proxy.port, place), { rejectUnauthorized: false, servername: place.split(':')[0]! })
  const { publicKey } = new X509Certificate(client.getPeerCertificate().raw)
  client.destroy()
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('base64')
}

async function withOrigins(run: (ports: { readonly plain: number; readonly secure: number }) => Promise<void>): Promise<void> {
  await using secure = await startSecureOrigin(
    ({ headers, httpVersion }, response) => {
      response.setHeader('Access-Control-Allow-Origin', '*')
      response.end(`secure ${headers['x-office']} ${httpVersion}`)
    },
    { ...certificateFor(['shop.test']) },
  )
  const page = `<p id=x>plain</p><script>fetch('https://shop.test:${secure.port}/').then((r) => r.text()).catch(String).then((t) => (x.textContent += ' ' + t))</script>`
  const plain = createServer(({ headers }, response) => {
    response.setHeader('Content-Type', 'text/html')
    response.end(page.replace('plain', `plain ${headers['x-office']}`))
  })
  await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve))
  try {
    await run({ plain: (plain.address() as AddressInfo).port, secure: secure.port })
  } finally {
    plain.closeAllConnections()
    plain.close()
  }
}

browsed('by the PAC file: a page and what it fetches by TLS are both seen, and the browser is content', () =>
  withOrigins(async ({ plain, secure }) => {
    using authority = new OwnAuthority()
    const options: Partial<ForwardOptions> = {
      ...authority.options(),
      pac: pac(),
      use: [{ onRequest: (req) => void (req.method === 'CONNECT' || req.headers.set('x-office', 'berlin')) }],
    }
    await using proxy = await startProxy({ ...forwarding(options, [plain, secure]), parts: { dial: here } })
    const trusted = `--ignore-certificate-errors-spki-list=${await keyOf(proxy, `shop.test:${secure}`)}`
    const dom = await load(`http://www.shop.test:${plain}/`, [trusted, `--proxy-pac-url=http://127.0.0.1:${proxy.port}/proxy.pac`])
    assert.match(dom, 'plain berlin secure berlin 1.1')
    const inside = proxy.ended.find(({ scheme, host }) => scheme === 'https' && host === `shop.test:${secure}`)
    assert.equal([inside?.status, inside?.protocol], [200, 'HTTP/2'])
    assert.ok(proxy.ended.some(({ path }) => path === '/proxy.pac'))
  }),
)

browsed('by SOCKS: what is plain passes; without trust in the authority TLS does not, and the log says what to do', () =>
  withOrigins(async ({ plain, secure }) => {
    using authority = new OwnAuthority()
    const options = { ...authority.options(), socks: true }
    await using proxy = await startProxy({ ...forwarding(options, [plain, secure]), parts: { dial: here } })
    const dom = await load(`http://www.shop.test:${plain}/`, [`--proxy-server=socks5://127.0.0.1:${proxy.port}`])
    assert.match(dom, 'plain undefined TypeError: Failed to fetch')
    const refused = proxy.tunnels.find(({ destination }) => destination === `shop.test:${secure}`)
    assert.equal([refused?.reason, refused?.protocol, refused?.sni], ['interception_refused', 'SOCKS5', 'shop.test'])
    assert.match(refused!.detail!, /CERTIFICATE_UNKNOWN|UNKNOWN_CA|BAD_CERTIFICATE/)
    assert.match(refused!.detail!, 'sluice ca trust-help')
  }),
)

test.run()
