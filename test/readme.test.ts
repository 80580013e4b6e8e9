/** What the README shows is true: configs, plugin and test run as written, and what a command prints there it prints just so. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { TypeCheck } from '../core/check/typecheck.ts'
import { ownTypeRoots, sandboxTypes, typeFiles } from '../core/cli/installation.ts'
import { makeFolder } from './config/support.ts'
import { issue, withCertificates } from './support/certificates.ts'
import { type CheckedFile, checkFile } from './support/checked.ts'
import { mainFile, packageFolder } from './support/process.ts'

const root = resolve(import.meta.dirname, '..')
const readme = readFileSync(join(root, 'README.md'), 'utf8')
const blocks = [...readme.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(([, language, text]) => ({ language, text: text! }))
const sources = blocks.filter(({ language }) => language === 'ts').map(({ text }) => text)
const config = sources.find((text) => text.includes('split(') && text.includes('export default'))!

interface Ran {
  readonly status: number | null
  /** Both streams. */
  readonly output: string
  readonly stdout: string
}

/** Runs this program's Node in a folder of its own that holds these files. */
function runIn(files: Readonly<Record<string, string>>, args: readonly string[]): Ran {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-readme-'))
  try {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, name)), { recursive: true })
      writeFileSync(join(folder, name), text)
    }
    mkdirSync(join(folder, 'node_modules'))
    symlinkSync(packageFolder, join(folder, 'node_modules/sluice'))
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' })
    return { status, output: stdout + stderr, stdout }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function sluice(files: Readonly<Record<string, string>>, ...args: readonly string[]): Ran {
  return runIn(files, [mainFile, ...args])
}

/** As `sluice check` in their folder; the command itself checks the first config of all, and the wrong one. */
function check(files: Readonly<Record<string, string>>): Promise<CheckedFile> {
  return checkFile(join(makeFolder(files), 'proxy.config.ts'))
}

/** The source that begins with its own file's name. */
function named(name: string): string {
  const source = sources.find((text) => text.startsWith(`// ${name}`))
  assert.ok(source !== undefined, `the README shows ${name}`)
  return source!
}

const secured = withCertificates(test)

test('the config passes check', () => {
  const { status, output } = sluice({ 'proxy.config.ts': config }, 'check')
  assert.is(status, 0, output)
})

test('the configs have the types that they should have, as an editor and check see them', async () => {
  const configs = sources.filter((text) => text.includes('export default defineConfig('))
  const paths = configs.map((_, i) => `${i}/proxy.config.ts`)
  const folder = makeFolder({
    ...Object.fromEntries(paths.map((path, i) => [path, configs[i]!])),
    ...Object.fromEntries(paths.map((path) => [join(dirname(path), 'plugins/tag/index.ts'), named('plugins/tag/index.ts')])),
    'all.ts': paths.map((path) => `import './${path}'\n`).join(''),
  })
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(join(root, 'node_modules/typescript'), join(folder, 'node_modules/typescript'))
  const types = { doors: typeFiles, typeRoots: ownTypeRoots, sandboxTypes }
  const compiler = new TypeCheck({ ...types, file: join(folder, 'all.ts'), deadlineMs: 90_000 })
  try {
    const files = paths.map((path) => join(folder, path))
    const { problems, skipped } = await compiler.finish(files, { files: [], entries: [] })
    assert.is(skipped, null)
    assert.equal(
      problems.map(({ message, place }) => `${configs[files.indexOf(place?.file ?? '')]?.split('\n')[0]}: ${message}`),
      [],
    )
    assert.ok(configs.length >= 18)
  } finally {
    compiler.close()
  }
})

test('the config of shared limits passes check', async () => {
  const { status, output } = await check({ 'proxy.config.ts': named('shared-limits: proxy.config.ts') })
  assert.is(status, 0, output)
})

test('the config of UDP listeners passes check', async () => {
  const { status, output } = await check({ 'proxy.config.ts': named('udp: proxy.config.ts') })
  assert.is(status, 0, output)
  assert.match(output, /is valid: 2 listeners, 3 routes, 3 upstreams/)
})

test('the config of FTP passes check', async () => {
  const { status, output } = await check({ 'proxy.config.ts': named('ftp: proxy.config.ts') })
  assert.is(status, 0, output)
})

test('the config of files passes check', async () => {
  const all = { 'proxy.config.ts': named('site: proxy.config.ts'), 'manual/a.html': '', 'robots.txt': '', 'public/index.html': '' }
  const { status, output } = await check(all)
  assert.is(status, 0, output)
  assert.match(output, /is valid: 1 listener, 4 routes, 1 upstream\n/)
})

test('the config of what is tried on live traffic passes check', async () => {
  const { status, output } = await check({ 'proxy.config.ts': named('shape: proxy.config.ts') })
  assert.is(status, 0, output)
})

secured('the config of logins passes check', async ({ server }) => {
  const files = { 'proxy.config.ts': named('login: proxy.config.ts'), 'certs/dev.pem': server.cert, 'certs/dev.key': server.key }
  const { status, output } = await check(files)
  assert.is(status, 0, output)
})

test('the config of balancers passes check', async () => {
  const { status, output } = await check({ 'proxy.config.ts': named('endpoints: proxy.config.ts') })
  assert.is(status, 0, output)
})

test('the config of certificates for all names below one passes check', async () => {
  const { status, output } = await check({ 'proxy.config.ts': named('wildcard: proxy.config.ts') })
  assert.is(status, 0, output)
})

test('the config of transparent listeners passes check, and has rules for a firewall', async () => {
  const files = { 'proxy.config.ts': named('transparent: proxy.config.ts') }
  const checked = await check(files)
  assert.is(checked.status, 0, checked.output)
  const { status, output } = sluice(files, 'transparent', 'rules', '--listener', 'mail', '--interface', 'eth1', '--ports', '993')
  assert.is(status, 0, output)
  assert.match(output, /iifname "eth1" .* tcp dport \{ 993 \} tproxy ip to :3130/)
  // It goes into a shell of root: nothing of an error may.
  const refused = sluice(files, 'transparent', 'rules', '--listener', 'wbe')
  assert.equal(refused, { status: 1, output: 'sluice: there is no listener wbe; did you mean web?\n', stdout: '' })
})

secured('the config of a TCP listener passes check, and its test passes', async ({ server }) => {
  const files = Object.fromEntries(
    ['mq', 'web'].flatMap((name) => [
      [`${name}.pem`, server.cert],
      [`${name}.key`, server.key],
    ]),
  )
  const all = { 'proxy.config.ts': named('edge: proxy.config.ts'), 'c.test.ts': named('edge: connections.test.ts'), ...files }
  const { status, output } = await check(all)
  assert.is(status, 0, output)
  assert.match(output, /is valid: 1 listener, 5 routes, 4 upstreams/)
  const tested = runIn(all, ['c.test.ts'])
  assert.is(tested.status, 0, tested.output)
})

secured('the config of a sidecar passes check', async ({ ca, server }) => {
  const files = { 'certs/sidecar.pem': server.cert, 'certs/sidecar.key': server.key, 'certs/ca.pem': ca.cert }
  const { status, output } = await check({ 'proxy.config.ts': named('sidecar: proxy.config.ts'), ...files })
  assert.is(status, 0, output)
})

test('the config about endpoints that fail passes check', async () => {
  const { status, output } = await check({ 'proxy.config.ts': named('survive: proxy.config.ts') })
  assert.is(status, 0, output)
})

test('the config with a certificate by ACME passes check before there is one', async () => {
  const { status, output } = await check({ 'proxy.config.ts': named('acme: proxy.config.ts') })
  assert.is(status, 0, output)
})

test('the config with policies passes check', async () => {
  process.env.OPS = 'tuesday'
  const { status, output } = await check({ 'proxy.config.ts': named('policies: proxy.config.ts') })
  delete process.env.OPS
  assert.is(status, 0, output)
})

test('the config of a forward proxy passes check', async () => {
  const { status, output } = await check({ 'proxy.config.ts': named('out: proxy.config.ts') })
  assert.is(status, 0, output)
})

test('the config that reads TLS passes check before there is an authority', async () => {
  const { status, output } = await check({ 'proxy.config.ts': named('read: proxy.config.ts') })
  assert.is(status, 0, output)
  assert.not.match(output, 'warning')
})

test('the config with caches passes check', async () => {
  const { status, output } = await check({ 'proxy.config.ts': named('caching: proxy.config.ts') })
  assert.is(status, 0, output)
})

test('the config of a SOCKS proxy with block lists passes check', async () => {
  const lists = { 'ads.txt': '0.0.0.0 ads.example\n', 'adult.txt': '||adult.example^\n' }
  const { status, output } = await check({ 'proxy.config.ts': named('s: proxy.config.ts'), ...lists })
  assert.is(status, 0, output)
  assert.not.match(output, 'warning')
})

test('the plugin and the config that uses it pass check', async () => {
  const files = { 'plugins/tag/index.ts': named('plugins/tag/index.ts'), 'proxy.config.ts': named('proxy.config.ts\n') }
  const { status, output } = await check(files)
  assert.is(status, 0, output)
})

secured('the config about TLS passes check with certificates of its names', async ({ ca, server, other }) => {
  const tlsConfig = sources.find((text) => text.includes('forwardClientCertificate'))!
  const rsa = issue('readme-rsa', { names: 'DNS:example.com,DNS:*.example.com', rsa: true })
  const pairs = { example: server, 'example-rsa': rsa, internal: other }
  const files = Object.entries(pairs).flatMap(([name, { cert, key }]) => [
    [`certs/${name}.pem`, cert],
    [`certs/${name}.key`, key],
  ])
  const { status, output } = await check({ ...Object.fromEntries(files), 'certs/clients-ca.pem': ca.cert, 'proxy.config.ts': tlsConfig })
  assert.is(status, 0, output)
  assert.not.match(output, 'error:')
})

test('the problem shown is the problem printed', () => {
  const shown = blocks.find(({ text }) => text.startsWith('proxy.config.ts:8:11'))!.text
  const wrong = `import { defineConfig, http } from 'sluice'

export default defineConfig({
  listeners: {
    web: http({
      listen: ':8080',
      routes: [
        { pth: '/x', to: 'http://127.0.0.1:3000' },
      ],
    }),
  },
})
`
  const { status, output } = sluice({ 'proxy.config.ts': wrong }, 'check')
  assert.is(status, 1)
  assert.ok(output.startsWith(shown), output)
})

test('the warning of a route that never matches is printed so', async () => {
  const shown = blocks.find(({ text }) => text.includes('can never match'))!.text
  const shadowed = `import { defineConfig, http, respond } from 'sluice'
export default defineConfig({
  listeners: {
    web: http({ listen: ':8080',
      routes: [
        { path: '/*', respond: respond(200) },
        { path: '/x', respond: respond(404) },
      ] }) } })
`
  const { status, output } = await check({ 'proxy.config.ts': shadowed })
  assert.is(status, 0)
  assert.ok(output.includes(shown), output)
})

test('explain prints what is shown', () => {
  const shown = blocks.find(({ text }) => text.startsWith('$ sluice explain'))!.text
  const [command = '', ...lines] = shown.split('\n')
  const words = [...command.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!)
  const { status, output } = sluice({ 'proxy.config.ts': config }, ...words.slice(2))
  assert.is(status, 0, output)
  assert.is(output.trimEnd(), lines.join('\n').trimEnd())
})

test('the test of a config passes', () => {
  const files = { 'package.json': '{ "type": "module" }', 'proxy.config.ts': config, 'proxy.config.test.ts': named('proxy.config.test.ts') }
  const { status, output } = runIn(files, ['--test', 'proxy.config.test.ts'])
  assert.is(status, 0, output)
})

test.run()
