/** `sluice types`: the editor, that is the compiler, knows `sluice` in a folder without node_modules. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Project } from '../support/project.ts'

const config = `import { defineConfig, http } from 'sluice'
import tag from './plugins/tag/index.ts'
const routes = await Promise.resolve([{ to: process.env.APP ?? 'http://127.0.0.1:3000' }])
export default defineConfig({ listeners: { web: http({ listen: ':8080', use: [tag({ value: 'x' })], routes }) } })
`
const plugin = `import { definePlugin } from 'sluice/plugin'
export default definePlugin({
  name: 'tag',
  setup({ value }: { value: string }) {
    return { onRequest: (req) => req.headers.set('x-tag', new URL(value, 'http://x').href) }
  },
})
`
const spec = `import { simulate } from 'sluice/testing'
const proxy = await simulate('./proxy.config.ts')
const status: number = (await proxy.fetch('/')).status
console.log(status)
`

function folder(files: Readonly<Record<string, string>> = {}): Project {
  const project = new Project()
  const all = { 'proxy.config.ts': config, 'plugins/tag/index.ts': plugin, 'plugins/tag/index.test.ts': spec, ...files }
  for (const [path, text] of Object.entries(all)) project.write(path, text)
  return project
}

test('a bare folder: config, plugin and test are typed, and wrong options are red', () => {
  using project = folder()
  const { code, output } = project.sluice('types')
  assert.is(code, 0)
  assert.is(output, 'wrote tsconfig.json\nwrote plugins/tsconfig.json\n')
  assert.equal(project.tsc(), { code: 0, output: '' })
  project.write('proxy.config.ts', config.replace("'x'", '5'))
  assert.match(project.tsc().output, /proxy\.config\.ts\(4,\d+\): error TS2322: Type 'number' is not assignable to type 'string'/)
})

test("plugins have the sandbox's globals, and nothing of Node", () => {
  using project = folder()
  project.sluice('types')
  assert.equal(project.tsc('-p', 'plugins'), { code: 0, output: '' })
  project.write('plugins/tag/index.ts', `${plugin}process.exit()\n`)
  assert.match(project.tsc('-p', 'plugins').output, /index\.ts\(8,1\): error .*'process'/)
})

test('a second run changes nothing', () => {
  using project = folder()
  project.sluice('types')
  const before = project.read('tsconfig.json')
  assert.is(project.sluice('types').output, 'tsconfig.json stays as it is\nplugins/tsconfig.json stays as it is\n')
  assert.is(project.read('tsconfig.json'), before)
})

test('a tsconfig.json that is there gets the paths, and keeps its comments', () => {
  const mine = '// mine\n{\n  "compilerOptions": {\n    "strict": true // yes\n  }\n}\n'
  using project = folder({ 'tsconfig.json': mine })
  const { code, output } = project.sluice('types')
  assert.is(code, 0)
  assert.match(output, /^tsconfig\.json: added the paths of sluice, sluice\/plugin, sluice\/testing$/m)
  assert.match(output, /also need: "allowImportingTsExtensions": true, "noEmit": true/)
  const after = project.read('tsconfig.json')
  assert.match(after, /^\/\/ mine\n\{\n {2}"compilerOptions": \{\n {4}"strict": true, \/\/ yes\n {4}"paths": \{\n {6}"sluice": \["\//)
  assert.match(project.sluice('types').output, /^tsconfig\.json stays as it is$/m)
})

test('what cannot be merged is left alone, and the lines are printed', () => {
  for (const [text, why] of [
    ['{ "extends": "./base.json" }', /it extends another file/],
    ['{ "compilerOptions": [] }', /compilerOptions is no object/],
    ['{ "compilerOptions": {', /not JSON at line 1/],
  ] as const) {
    using project = folder({ 'tsconfig.json': text })
    const { code, output } = project.sluice('types')
    assert.is(code, 1)
    assert.match(output, why)
    assert.match(output, /"paths": \{\n {2}"sluice": \[/)
    assert.is(project.read('tsconfig.json'), text)
  }
})

test('where sluice is installed no path is needed', () => {
  using project = folder()
  for (const name of ['sluice', '@types/node']) project.link(name)
  assert.match(project.sluice('types').output, /sluice is installed in node_modules\/sluice/)
  assert.not.match(project.read('tsconfig.json'), /paths/)
  for (const args of [[], ['-p', 'plugins']]) assert.equal(project.tsc(...args), { code: 0, output: '' })
})

test.run()
