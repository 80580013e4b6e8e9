/** `sluice plugin new`: the package is typed, passes its own test, and runs from node_modules, in a process of its own. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { apiVersion } from '../../core/plugin-api.ts'
import { freePort } from '../support/process.ts'
import { Project } from '../support/project.ts'

test('a config imports it as a package', async () => {
  using project = new Project()
  const made = project.sluice('plugin', 'new', 'geo-ip', '--dir', 'made')
  assert.is(made.code, 0, made.output)
  assert.match(made.output, /The package sluice-plugin-geo-ip/)
  for (const name of ['sluice', '@types/node', 'typescript']) project.link(name)
  for (const folder of ['made', 'made/test']) assert.equal(project.tsc('-p', folder), { code: 0, output: '' })
  const tested = project.node('--test', 'made/test/index.test.ts')
  assert.is(tested.code, 0, tested.output)

  project.link('sluice-plugin-geo-ip', project.path('made'))
  const port = await freePort()
  project.write(
    'proxy.config.ts',
    `import { defineConfig, http, respond } from 'sluice'
import geoIp from 'sluice-plugin-geo-ip'
const echo = { onRequest: (req) => ({ status: 200, body: req.headers.get('x-geo-ip') }) }
export default defineConfig({
  listeners: { web: http({ listen: '127.0.0.1:${port}', use: [geoIp({ value: 'yes' }, { timeout: '500ms' }), echo], routes: [{ respond: respond(404) }] }) },
})\n`,
  )
  await using _ = await project.start({})
  assert.is(await (await fetch(`http://127.0.0.1:${port}/`)).text(), 'yes')
})

test('the tarball of it holds the source and the README', () => {
  using project = new Project()
  project.sluice('plugin', 'new', '@me/geo')
  const { name, keywords, exports, types, files, sluice, peerDependencies } = JSON.parse(project.read('geo/package.json'))
  assert.equal(
    { name, keywords, exports, types, files, sluice },
    {
      name: '@me/geo',
      keywords: ['sluice-plugin'],
      exports: './index.ts',
      types: './index.ts',
      files: ['index.ts', 'README.md'],
      sluice: { api: apiVersion },
    },
  )
  assert.match(peerDependencies.sluice, /^\^\d+\.\d+\.\d+/)
  assert.not.match(['index.ts', 'test/index.test.ts', 'README.md'].map((path) => project.read(`geo/${path}`)).join(), /PLUGIN_/)
})

test('refuses what cannot be the name of a package, and a folder with something in it', () => {
  using project = new Project()
  for (const [name, why] of [
    ['Geo', 'capitals'],
    ['../geo', 'use a-z'],
    ['.geo', 'use a-z'],
    ['a b', 'use a-z'],
    ['@me/', 'use a-z'],
  ] as const) {
    const { code, output } = project.sluice('plugin', 'new', name)
    assert.is(code, 2, name)
    assert.match(output, why)
  }
  project.write('sluice-plugin-geo/notes.txt', '')
  const { code, output } = project.sluice('plugin', 'new', 'geo')
  assert.is(code, 1)
  assert.match(output, /is not empty/)
})

test.run()
