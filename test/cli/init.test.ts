/** What `sluice init` writes runs: each project passes `check`, the compiler and its own tests, starts and answers. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { templates } from '../../core/cli/starter.ts'
import { connect, request } from '../support/client.ts'
import { makeHello } from '../support/hello.ts'
import { startOrigin } from '../support/origin.ts'
import { freePort } from '../support/process.ts'
import { Project } from '../support/project.ts'

for (const { name } of templates) {
  test(`${name}: the project is valid, typed, tested, and answers`, async () => {
    using project = new Project()
    const { code, output } = project.sluice('init', '--template', name)
    assert.is(code, 0, output)
    for (const dependency of ['sluice', '@types/node', 'typescript']) project.link(dependency)
    for (const args of [[], ['-p', 'plugins']]) assert.equal(project.tsc(...args), { code: 0, output: '' })
    const checked = project.sluice('check')
    assert.is(checked.code, 0, checked.output)
    const tested = project.node('--test')
    assert.is(tested.code, 0, tested.output)
    assert.match(tested.output, /pass [4-9]/)
    await answers[name]!(project)
  })
}

const answers: Readonly<Record<string, (project: Project) => Promise<void>>> = {
  async reverse(project) {
    const port = await freePort()
    await using sluice = await project.start({ PORT: String(port) })
    const answer = await fetch(`http://127.0.0.1:${port}/health`)
    assert.is(answer.status, 200, sluice.stderr.join('\n'))
    assert.is(answer.headers.get('x-proxy'), 'sluice')
    assert.is((await fetch(`http://127.0.0.1:${port}/`, { headers: { 'user-agent': 'evilbot' } })).status, 403)
  },
  async forward(project) {
    const port = await freePort()
    await using sluice = await project.start({ PORT: String(port) })
    for (const [target, reason] of [
      ['http://ads.example/', 'host_blocked'],
      ['http://localhost/', 'address_refused'],
    ]) {
      const { status, text } = await request(port, `GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
      assert.is(status, 403, sluice.stderr.join('\n'))
      assert.ok(text.includes(`reason: ${reason}`), text)
    }
  },
  async l4(project) {
    await using web = await startOrigin(undefined, { raw: true, onConnection: () => 'web' })
    await using rest = await startOrigin(undefined, { raw: true, onConnection: () => 'rest' })
    const port = await freePort()
    await using _ = await project.start({ PORT: String(port), WEB: web.address, REST: rest.address })
    using named = await connect(port)
    await named.send(makeHello({ serverName: 'www.example.com' })).until('web')
    using other = await connect(port)
    await other.send('hello').until('rest')
    // What is open would be drained for half a minute.
    for (const client of [named, other]) client.reset()
  },
}

test('a template that there is not is told, with the one that was meant', () => {
  using project = new Project()
  for (const [name, hint] of [
    ['revers', 'did you mean reverse\\?'],
    ['quic', 'there is: reverse, forward, l4'],
  ]) {
    const { code, output } = project.sluice('init', '--template', name!)
    assert.is(code, 2)
    assert.match(output, new RegExp(`there is no template ${name}; ${hint}\n`))
  }
  assert.not(project.has('proxy.config.ts'))
})

test('overwrites nothing: tells what is in the way, and writes nothing at all', () => {
  using project = new Project()
  project.write('shop/proxy.config.ts', '// mine\n')
  const { code, output } = project.sluice('init', 'shop')
  assert.is(code, 1)
  assert.match(output, /nothing was written, for there is already:\n {2}proxy\.config\.ts\n/)
  assert.is(project.read('shop/proxy.config.ts'), '// mine\n')
  assert.not(project.has('shop/package.json'))
  assert.is(project.sluice('init', 'shop', '--force').code, 0)
  assert.match(project.read('shop/proxy.config.ts'), /defineConfig/)
})

test('an existing project keeps its files; its package.json gets what it lacks', () => {
  using project = new Project()
  const manifest =
    '{\n    "name": "shop",\n    "scripts": {\n        "test": "mine"\n    },\n    "devDependencies": { "typescript": "^5" }\n}\n'
  const kept = { 'tsconfig.json': '{}', '.gitignore': 'x', 'README.md': '# Shop' }
  project.write('package.json', manifest)
  for (const [path, text] of Object.entries(kept)) project.write(path, text)
  const { code, output } = project.sluice('init')
  assert.is(code, 0)
  for (const [path, text] of Object.entries(kept)) assert.is(project.read(path), text)
  assert.match(
    output,
    /package\.json got scripts\.start, scripts\.check,(?: dependencies\.node,)? dependencies\.sluice, devDependencies\.@types\/node(?:, allowScripts\.node)?\n/,
  )
  const after = JSON.parse(project.read('package.json'))
  assert.equal(after.scripts, { test: 'mine', start: 'sluice', check: 'sluice check' })
  assert.is(after.devDependencies.typescript, '^5')
  assert.not('type' in after)
  assert.match(project.read('package.json'), /^ {4}"dependencies": \{\n {8}"(node|sluice)"/m)
})

test('what npm needs said before Node is installed makes no project of an empty folder', () => {
  using project = new Project()
  project.write('package.json', '{ "allowScripts": { "node": true } }\n')
  assert.is(project.sluice('init').code, 0)
  const { type, scripts, allowScripts } = JSON.parse(project.read('package.json'))
  assert.equal([type, scripts.start], ['module', 'sluice'])
  assert.match(project.read('package.json'), /^\{\n {2}"allowScripts": \{\n {4}"node": true,\n/)
  assert.equal(allowScripts, { node: true, bcrypt: true, esbuild: true, 'isolated-vm': true })
  project.write('bare/package.json', '{}')
  assert.is(project.sluice('init', 'bare').code, 0)
  assert.is(JSON.parse(project.read('bare/package.json')).allowScripts.esbuild, true)
})

test('a package.json that is no JSON is left alone, and said so', () => {
  using project = new Project()
  project.write('package.json', '{ oops')
  const { code, output } = project.sluice('init')
  assert.is(code, 1)
  assert.match(output, /package\.json was left alone: not JSON at line 1, column 3/)
  assert.is(project.read('package.json'), '{ oops')
})

test('names the three next commands, and the folder to enter', () => {
  using project = new Project()
  assert.match(project.sluice('init', 'shop').output, /Next:\n {2}cd shop && npm install\n {2}npm test\n {2}npm start\b/)
})

test.run()
