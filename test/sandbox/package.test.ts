/** A plugin from npm: what its package.json says of the sluice that it was built for is held against this one before it is loaded. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { apiVersion } from '../../core/plugin-api.ts'
import { bundlePlugin } from '../../core/sandbox/bundle.ts'
import { whyUnfit } from '../../core/sandbox/package.ts'
import { type Files, lines, load, makeFolder } from '../config/support.ts'
import { root } from '../support/process.ts'

const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
const plugin = `import { definePlugin } from 'sluice/plugin'
export default definePlugin({ name: 'geo', setup: () => ({ onRequest() {} }) })\n`
const config = `import { defineConfig, http, respond } from 'sluice'
import geo from 'sluice-plugin-geo'
export default defineConfig({ listeners: { web: http({ listen: 0, use: [geo()], routes: [{ respond: respond(200) }] }) } })\n`

function project(manifest: object): Files {
  const json = { name: 'sluice-plugin-geo', version: '2.1.0', keywords: ['sluice-plugin'], exports: './index.ts', ...manifest }
  const folder = 'node_modules/sluice-plugin-geo'
  return { 'proxy.config.ts': config, [`${folder}/index.ts`]: plugin, [`${folder}/package.json`]: JSON.stringify(json) }
}

test('the version of a package goes with the plugin, and another version is another plugin', async () => {
  const built = { peerDependencies: { sluice: `^${version}` } }
  const entry = 'node_modules/sluice-plugin-geo/index.ts'
  const source = await bundlePlugin(join(makeFolder(project(built)), entry))
  assert.equal(source.package, { name: 'sluice-plugin-geo', version: '2.1.0', builtFor: `^${version}` })
  assert.ok(source.files.some((file) => file.endsWith('/package.json')))
  const { bundle, problems, uses } = await load(project(built))
  assert.equal(lines(problems), [])
  assert.is(bundle?.plugins[0]?.package?.version, '2.1.0')
  assert.equal(
    uses.map(({ name, where, isolation, hooks, grant }) => ({ name, where, isolation, hooks, grant })),
    [{ name: 'geo', where: 'listeners.web.use[0]', isolation: 'process', hooks: ['onRequest'], grant: [] }],
  )
})

test('a plugin of the project itself has no package', async () => {
  const folder = makeFolder({ 'package.json': '{ "name": "shop", "version": "1.0.0" }', 'plugins/geo.ts': plugin })
  assert.is((await bundlePlugin(join(folder, 'plugins/geo.ts'))).package, null)
})

test('a range that leaves this sluice out is an error where the package is imported', async () => {
  const { bundle, problems } = await load(project({ peerDependencies: { sluice: '^300.0.0' } }))
  assert.is(bundle, null)
  assert.equal(lines(problems), [
    `proxy.config.ts:2:17 sluice-plugin-geo 2.1.0 was built for sluice ^300.0.0, this is ${version}: npm install sluice@"^300.0.0", or an older sluice-plugin-geo`,
  ])
})

test('a newer plugin API is refused with both numbers', async () => {
  const { problems } = await load(project({ peerDependencies: { sluice: '*' }, sluice: { api: apiVersion + 1 } }))
  assert.equal(lines(problems), [
    `proxy.config.ts:2:17 sluice-plugin-geo 2.1.0 was built for plugin API ${apiVersion + 1}, this sluice has ${apiVersion}: update sluice, or install an older sluice-plugin-geo`,
  ])
})

test('a package that does not say what it was built for is loaded, with a warning', async () => {
  const { bundle, problems } = await load(project({}))
  assert.ok(bundle)
  assert.is(problems.length, 1)
  assert.match(
    lines(problems)[0] ?? '',
    /^proxy\.config\.ts:2:17 warning: sluice-plugin-geo 2\.1\.0 does not say which sluice it was built for/,
  )
})

test('what a range says of a version, and what helps', () => {
  const of = (manifest: object, running = '0.3.0') => whyUnfit({ name: 'p', version: '1.0.0', ...manifest }, running, 1)
  const range = (sluice: string) => ({ peerDependencies: { sluice } })
  for (const fits of ['^0.3.0', '>=0.1.0', '*', '0.2.x || 0.3.x', 'file:../sluice', 'github:me/sluice'])
    assert.is(of(range(fits)), null, fits)
  // A version on the way to the next one counts as it.
  assert.is(of(range('>=0.3.0'), '0.4.0-beta.1'), null)
  assert.match(of(range('^0.2.0')) ?? '', /was built for sluice \^0\.2\.0, this is 0\.3\.0: npm install p@latest, or sluice@/)
  assert.match(of(range('^3.0.0')) ?? '', /: npm install sluice@"\^3\.0\.0", or an older p$/)
  assert.is(of({ sluice: { api: 1 } }), null)
  assert.match(of({ sluice: { api: 2 } }) ?? '', /plugin API 2, this sluice has 1/)
  assert.match(of({ sluice: { api: 'one' } }) ?? '', /has to be a whole number/)
})

test.run()
