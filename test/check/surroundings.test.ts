/** What a config can leave behind in a process is noticed; what it only does is not. */
import { writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import net from 'node:net'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Surroundings } from '../../core/check/surroundings.ts'
import { makeFolder } from '../config/support.ts'

/** Each returns how to take it back. */
const LEFT: Readonly<Record<string, () => () => void>> = {
  'a name': () => put(globalThis, 'left', 1),
  'another built-in': () => put(Array.prototype, 'map', function map() {}),
  'a name on a built-in': () => put(Object.prototype, 'left', 1),
  'another global': () => put(globalThis, 'JSON', {}),
  'a variable of the environment': () => put(process.env, 'LEFT', '1'),
  'another folder': () => {
    const before = process.cwd()
    process.chdir('/')
    return () => process.chdir(before)
  },
  'a timer': () => {
    const timer = setInterval(() => {}, 60_000)
    return () => clearInterval(timer)
  },
  'a server': () => {
    const server = net.createServer().listen({ port: 0 })
    return () => server.close()
  },
  'a listener of signals': () => {
    const listener = () => {}
    process.on('SIGUSR2', listener)
    return () => process.off('SIGUSR2', listener)
  },
  'a file that require remembers': () => {
    const file = join(makeFolder({}), 'list.json')
    writeFileSync(file, '[]')
    const require = createRequire(import.meta.url)
    require(file)
    return () => delete require.cache[file]
  },
}

for (const [what, leave] of Object.entries(LEFT)) {
  test(`${what} is noticed`, () => {
    const surroundings = new Surroundings()
    const takeBack = leave()
    const { areSame } = surroundings
    takeBack()
    assert.not(areSame)
  })
}

test('a program that leaves nothing has left nothing', async () => {
  const surroundings = new Surroundings()
  const { port } = new URL('http://127.0.0.1:8080')
  await Promise.all([1, 2].map(async (n) => JSON.stringify({ n, port, now: Date.now(), random: Math.random() })))
  assert.ok(surroundings.areSame)
})

test.run()

function put(owner: object, key: string, value: unknown): () => void {
  const before = Object.getOwnPropertyDescriptor(owner, key)
  Object.defineProperty(owner, key, { value, configurable: true, writable: true, enumerable: owner === process.env })
  return () => {
    if (before === undefined) Reflect.deleteProperty(owner, key)
    else Object.defineProperty(owner, key, before)
  }
}
