/** The control socket: who may open it, what it answers to what, and what it leaves behind. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Control, type ControlOptions, type ControlSource, startControl } from '../../core/process/control.ts'
import { controlFolders, findRunning, prepareFolder, socketName } from '../../core/process/control-folder.ts'
import { maxRequestBytes, parseAnswer, parseRequest } from '../../core/process/control-protocol.ts'
import { within } from '../support/deadline.ts'

const test = suite<{ folder: string; close: (() => void)[] }>('control')
const noPid = 2 ** 22 + 1

test.before.each((world) => {
  world.folder = mkdtempSync(path.join(tmpdir(), 'sluice-control-'))
  world.close = []
})

test.after.each((world) => {
  for (const close of world.close) close()
  rmSync(world.folder, { recursive: true, force: true })
})

test('each request has its answer, and then the connection ends', async (world) => {
  const { path: socket } = await start(world)
  assert.equal(await say(socket, '{"do":"status"}\n'), [{ kind: 'status', status: { state: 'ready' } }])
  assert.equal(await say(socket, '{"do":"reload"}\n'), [{ kind: 'reload', result: { ok: true, line: 'live in 1 ms' } }])
  assert.equal(await say(socket, '{"do":"recall","id":"r1"}\n'), [{ kind: 'recalled', found: { id: 'r1' } }])
  assert.equal(await say(socket, '{"do":"recall","id":"unknown"}\n'), [{ kind: 'recalled', found: null }])
})

test('a profile is said to have begun, unless it is refused at once', async (world) => {
  const source: Partial<ControlSource> = {
    profile: async ({ plugin, seconds }) => {
      if (plugin === 'other') throw new Error('there is no plugin other')
      await new Promise((resolve) => setTimeout(resolve, 20))
      return { calls: seconds, profile: { nodes: [] } }
    },
  }
  const { path: socket } = await start(world, { source })
  const profiled = { kind: 'profiled', calls: 2, profile: { nodes: [] } }
  assert.equal(await say(socket, '{"do":"profile","plugin":"geo","seconds":2}\n'), [{ kind: 'profiling' }, profiled])
  const refused = { kind: 'error', message: 'there is no plugin other' }
  assert.equal(await say(socket, '{"do":"profile","plugin":"other","seconds":2}\n'), [refused])
  for (const wrong of ['"plugin":"","seconds":1', '"plugin":"geo","seconds":61', '"plugin":"geo","seconds":0', '"plugin":"geo"'])
    assert.match(JSON.stringify(await say(socket, `{"do":"profile",${wrong}}\n`)), /needs the name of a plugin|up to 60 seconds/)
})

test('a request may come in pieces, and its sender may close its side', async (world) => {
  const { path: socket } = await start(world)
  const connection = net.connect({ path: socket!, allowHalfOpen: true })
  for (const piece of ['{"do":', '"sta', 'tus"}']) await new Promise((resolve) => connection.write(piece, resolve))
  connection.end('\n')
  assert.match(await textOf(connection), /"state":"ready"/)
})

test('stop tells that draining has begun, then that it is over; the connection lives on to tell the end of the process', async (world) => {
  const drained = Promise.withResolvers<void>()
  const asked: unknown[] = []
  const source = {
    stop: (options: unknown) => {
      asked.push(options)
      return drained.promise
    },
  }
  const control = await start(world, { source })
  const connection = net.connect(control.path!)
  connection.write('{"do":"stop"}\n')
  assert.is(await chunkOf(connection), '{"kind":"draining"}\n')
  assert.equal(asked, [{ now: false }])
  drained.resolve()
  assert.is(await chunkOf(connection), '{"kind":"drained"}\n')
  control.close()
  assert.is(connection.readableEnded, false)
  connection.destroy()
})

test('what cannot be understood is answered with a sentence', async (world) => {
  const { path: socket } = await start(world)
  const cases: readonly (readonly [string, RegExp])[] = [
    ['hello\n', /one line of JSON/],
    ['[1]\n', /one line of JSON/],
    ['\n', /one line of JSON/],
    ['{"do":"dance"}\n', /there is status, reload, stop, recall, cache, endpoints and profile/],
    ['{"do":"recall","id":7}\n', /recall needs the id/],
    [`{"do":"status","more":"${'x'.repeat(maxRequestBytes)}"}\n`, /too long/],
    ['x'.repeat(maxRequestBytes * 3), /too long/],
  ]
  for (const [line, message] of cases) {
    const [answer] = await say(socket, line)
    assert.is(answer?.kind, 'error', line.slice(0, 40))
    assert.match(answer?.kind === 'error' ? answer.message : '', message)
  }
  assert.is((await say(socket, '{"do":"status"}\n'))[0]?.kind, 'status')
})

test('a source that fails is an answer, not the end', async (world) => {
  const source = {
    status: () => {
      throw new Error('nothing to tell')
    },
    reload: () => Promise.reject(new Error('not now')),
    recall: () => Promise.resolve(10n),
  }
  const { path: socket } = await start(world, { source })
  assert.equal(await say(socket, '{"do":"status"}\n'), [{ kind: 'error', message: 'nothing to tell' }])
  assert.equal(await say(socket, '{"do":"reload"}\n'), [{ kind: 'error', message: 'not now' }])
  assert.is((await say(socket, '{"do":"recall","id":"1"}\n'))[0]?.kind, 'error')
})

test('who says nothing, or half a request, is sent away', async (world) => {
  const { path: socket } = await start(world, { deadlineMs: 30 })
  assert.is(await textOf(net.connect(socket!)), '')
  const half = net.connect(socket!)
  half.write('{"do":')
  assert.is(await textOf(half), '')
  const ended = net.connect({ path: socket!, allowHalfOpen: true })
  ended.end('{"do":')
  assert.match(await textOf(ended), /ended before/)
})

test('a client that leaves before its answer harms nobody', async (world) => {
  const reload = Promise.withResolvers<{ ok: true; line: string }>()
  const asked = Promise.withResolvers<void>()
  const source = {
    reload: () => {
      asked.resolve()
      return reload.promise
    },
  }
  const { path: socket } = await start(world, { source })
  const connection = net.connect(socket!)
  connection.write('{"do":"reload"}\n')
  await within(asked.promise, 'asked')
  connection.destroy()
  reload.resolve({ ok: true, line: 'live' })
  assert.is((await say(socket, '{"do":"status"}\n'))[0]?.kind, 'status')
})

test('only the owner can open it, and its folder', async (world) => {
  const folder = path.join(world.folder, 'new')
  const control = await start(world, { folders: [folder] })
  assert.is(statSync(folder).mode & 0o777, 0o700)
  assert.is(statSync(control.path!).mode & 0o777, 0o600)
  for (const name of readdirSync(folder)) assert.is(statSync(path.join(folder, name)).mode & 0o777, 0o600)
})

test('a folder that others may write, that is a link, or that is a file is refused, and the next one taken', async (world) => {
  const at = (name: string): string => path.join(world.folder, name)
  mkdirSync(at('open'))
  chmodSync(at('open'), 0o777)
  symlinkSync(world.folder, at('link'))
  writeFileSync(at('file'), '')
  says(prepareFolder(at('open')), /others may write to .*open/)
  says(prepareFolder(at('link')), /link is a symbolic link/)
  says(prepareFolder(at('file')), /file is not a folder/)
  says(prepareFolder(at('absent/deep')), /cannot be made/)
  says(prepareFolder(world.folder, 12345), /belongs to another user/)
  const none = await start(world, { folders: [at('open'), at('link')] })
  assert.is(none.path, null)
  says(none.problem, /link is a symbolic link/)
  const next = await start(world, { folders: [at('open'), world.folder] })
  assert.is(path.dirname(next.path!), world.folder)
})

test('the folder of the session is used only if it is the user’s own', (world) => {
  const uid = process.getuid!()
  assert.equal(controlFolders({ XDG_RUNTIME_DIR: world.folder }, uid), [path.join(world.folder, 'sluice'), `/tmp/sluice-${uid}`])
  assert.equal(controlFolders({ XDG_RUNTIME_DIR: world.folder }, 12345), ['/tmp/sluice-12345'])
  assert.equal(controlFolders({ XDG_RUNTIME_DIR: 'relative' }, uid), [`/tmp/sluice-${uid}`])
  assert.equal(controlFolders({}, null), [])
})

test('running proxies are found with what they run; closing leaves nothing', async (world) => {
  const one = await start(world, { config: path.join(world.folder, 'one.ts') })
  const [found, ...more] = await findRunning([world.folder])
  assert.equal(more, [])
  assert.equal(
    [found?.pid, found?.config, found?.version, found?.socket],
    [process.pid, path.join(world.folder, 'one.ts'), '1.2.3', one.path],
  )
  one.close()
  assert.equal(readdirSync(world.folder), [])
})

test('what a dead process left is swept; the socket of a living one that answers nothing is not', async (world) => {
  const dead = path.join(world.folder, `${socketName('/x', noPid)}.sock`)
  const mute = path.join(world.folder, `${socketName('/x', process.pid)}.sock`)
  for (const file of [dead, dead.replace('.sock', '.json'), mute]) writeFileSync(file, '')
  assert.equal(await findRunning([world.folder]), [])
  assert.equal(readdirSync(world.folder), [path.basename(mute)])
})

test('a second proxy of the same process and config gets a socket of its own', async (world) => {
  const [one, two] = [await start(world), await start(world)]
  assert.is.not(one.path, two.path)
  assert.is((await findRunning([world.folder])).length, 2)
})

test('a path can be chosen, a stale socket there is replaced, and nothing else is', async (world) => {
  const at = path.join(world.folder, 'mine')
  const first = await start(world, { at })
  assert.is(first.path, at)
  says((await start(world, { at })).problem, /another program listens on .*mine/)
  first.close()
  assert.not(existsSync(at))
  writeFileSync(at, 'precious')
  says((await start(world, { at })).problem, /is there already, and is not a socket/)
  says((await start(world, { at: `${at}/${'long'.repeat(30)}` })).problem, /too long for a socket/)
  says((await start(world, { at: path.join(world.folder, 'no/folder') })).problem, /cannot be listened on/)
  const off = await start(world, { at: 'off' })
  assert.equal([off.path, off.problem], [null, null])
})

test('no line makes the reading of requests or answers throw', () => {
  const lines = fc.oneof(
    fc.string(),
    fc.json(),
    fc
      .record({ do: fc.anything(), id: fc.anything() })
      .map((value) => String(JSON.stringify(value, (_, v) => (typeof v === 'bigint' ? null : v)))),
  )
  fc.assert(
    fc.property(lines, (line) => {
      const request = parseRequest(line)
      assert.ok(typeof request === 'string' || ['status', 'reload', 'stop', 'recall', 'cache', 'profile'].includes(request.do))
      parseAnswer(line)
    }),
  )
})

test.run()

interface World {
  folder: string
  close: (() => void)[]
}

async function start(
  world: World,
  { source, ...options }: Omit<Partial<ControlOptions>, 'source'> & { source?: Partial<ControlSource> } = {},
): Promise<Control> {
  const whole: ControlSource = {
    status: () => ({ state: 'ready' }),
    reload: () => Promise.resolve({ ok: true, line: 'live in 1 ms' }),
    stop: () => Promise.resolve(),
    recall: (id) => Promise.resolve(id === 'unknown' ? undefined : { id }),
    cache: () => Promise.resolve({ counts: [], purged: 0, listed: [], names: [], problems: [] }),
    endpoints: (ask) => Promise.resolve({ did: ask.kind, upstreams: [] }),
    profile: () => Promise.reject(new Error('there are no plugins')),
    ...source,
  }
  const control = await startControl({
    config: '/app/proxy.config.ts',
    version: '1.2.3',
    source: whole,
    folders: [world.folder],
    ...options,
  })
  world.close.push(() => control.close())
  return control
}

function says(problem: string | null, pattern: RegExp): void {
  assert.match(problem ?? '(none)', pattern)
}

async function say(socket: string | null, text: string) {
  const connection = net.connect({ path: socket!, allowHalfOpen: true })
  connection.write(text)
  const answers = (await textOf(connection)).split('\n')
  connection.end()
  return answers.filter((line) => line !== '').map((line) => parseAnswer(line)!)
}

function textOf(connection: net.Socket): Promise<string> {
  const read = async (): Promise<string> => {
    let text = ''
    for await (const chunk of connection.setEncoding('utf8')) text += chunk
    return text
  }
  return within(read(), 'the end of the answer')
}

function chunkOf(connection: net.Socket): Promise<string> {
  return within(new Promise((resolve) => connection.once('data', (bytes) => resolve(String(bytes)))), 'an answer')
}
