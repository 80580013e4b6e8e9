/** Where lines go: whole lines from several processes, no waiting for a slow reader, and every line that is lost is counted. */
import { execFileSync, spawn } from 'node:child_process'
import { closeSync, constants, mkdtempSync, openSync, readFileSync, readSync, renameSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { LineSink } from '../../core/observe/line-sink.ts'
import { eventually } from '../support/deadline.ts'

interface Drop {
  readonly kind: 'began' | 'ended'
  readonly lines: number
}

test('lines are written in batches, at the latest after a moment', async () => {
  using folder = new Folder()
  const sink = new LineSink({ path: folder.file('log'), onDrops: () => {} })
  sink.append('one\n')
  assert.is(folder.read('log'), '')
  await eventually(() => (folder.read('log') === 'one\n' ? true : undefined), 'no line')
  sink.close()
})

test('a reader that does not read costs nobody time, and its lines are counted once they are too many', async () => {
  using pipe = new Pipe()
  const drops: Drop[] = []
  const sink = new LineSink({ path: null, descriptor: pipe.writeEnd, keepBytes: 64 * 1024, onDrops: (event) => drops.push(event) })
  const line = `${'x'.repeat(999)}\n`
  const began = performance.now()
  for (let i = 0; i < 1_000; i++) sink.append(line)
  sink.flush()
  assert.ok(performance.now() - began < 1_000)
  assert.ok(sink.dropped > 500 && sink.dropped < 1_000, String(sink.dropped))
  assert.is(drops.length, 1)

  const received = await eventually(() => {
    pipe.drain()
    sink.flush()
    return drops.length === 2 ? pipe.received : undefined
  }, 'it never recovered')
  assert.equal(drops[1], { kind: 'ended', lines: sink.dropped, why: '' })
  pipe.drain()
  const lines = pipe.received.split('\n')
  assert.is(lines.pop(), '')
  assert.is(lines.length + sink.dropped, 1_000)
  assert.ok(lines.every((one) => one.length === 999))
  assert.ok(received.length > 0)
  sink.close()
})

test('a reader that is gone loses lines and nothing else', () => {
  const pipe = new Pipe()
  const drops: (Drop & { readonly why: string })[] = []
  const sink = new LineSink({ path: null, descriptor: pipe.writeEnd, onDrops: (event) => drops.push(event) })
  pipe.closeReadEnd()
  for (let i = 0; i < 3; i++) {
    sink.append('lost\n')
    sink.flush()
  }
  assert.is(sink.dropped, 3)
  assert.is(drops[0]?.why, 'EPIPE')
  sink.close()
  pipe[Symbol.dispose]()
})

test('O_NONBLOCK is not set on the description that others share', () => {
  using pipe = new Pipe()
  const sink = new LineSink({ path: null, descriptor: pipe.writeEnd, onDrops: () => {} })
  const flags = /flags:\s+(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${pipe.writeEnd}`, 'utf8'))![1]!
  assert.is(Number.parseInt(flags, 8) & constants.O_NONBLOCK, 0)
  sink.close()
})

// A description of its own appended at the end of the file, while the shell's, in a script, still stood before what was printed.
test('what the next program of a script prints into the same file does not overwrite the lines', () => {
  using folder = new Folder()
  const shared = openSync(folder.file('log'), 'w')
  writeSync(shared, 'before\n')
  const sink = new LineSink({ path: null, descriptor: shared, onDrops: () => {} })
  sink.print('ours\n')
  sink.close()
  writeSync(shared, 'after\n')
  closeSync(shared)
  assert.is(folder.read('log'), 'before\nours\nafter\n')
})

test('lines of two processes never tear on a pipe, however slowly it is read', async () => {
  const source = `
    import { LineSink } from ${JSON.stringify(new URL('../../core/observe/line-sink.ts', import.meta.url).pathname)}
    const sink = new LineSink({ path: null, keepBytes: 1e9, onDrops() {} })
    for (let i = 0; i < 4000; i++) sink.append(JSON.stringify({ pid: process.pid, i, pad: 'x'.repeat((i * 37) % 900) }) + '\\n')
    const wait = setInterval(() => { sink.flush(); if (sink.isIdle) { clearInterval(wait) } }, 5)`
  const command = `"${process.execPath}" --input-type=module-typescript -e "$SOURCE" & "${process.execPath}" --input-type=module-typescript -e "$SOURCE" & wait`
  const child = spawn('sh', ['-c', command], { env: { ...process.env, SOURCE: source }, stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  for await (const chunk of child.stdout.setEncoding('latin1')) text += chunk
  const lines = text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { pid: number; i: number })
  assert.is(lines.length, 8_000)
  for (const pid of new Set(lines.map((line) => line.pid))) {
    const order = lines.filter((line) => line.pid === pid).map(({ i }) => i)
    assert.equal(
      order,
      Array.from({ length: 4_000 }, (_, i) => i),
    )
  }
})

test('a file that was moved away is opened anew when it is asked for', () => {
  using folder = new Folder()
  const sink = new LineSink({ path: folder.file('log'), onDrops: () => {} })
  sink.append('before\n')
  sink.flush()
  renameSync(folder.file('log'), folder.file('log.1'))
  sink.append('between\n')
  sink.reopen()
  sink.append('after\n')
  sink.close()
  assert.is(folder.read('log.1'), 'before\nbetween\n')
  assert.is(folder.read('log'), 'after\n')
})

test('text beyond ASCII is printed as UTF-8', () => {
  using folder = new Folder()
  const sink = new LineSink({ path: folder.file('log'), onDrops: () => {} })
  sink.print('fünf · ok\n')
  assert.is(folder.read('log'), 'fünf · ok\n')
  sink.close()
})

test.run()

class Folder {
  readonly path = mkdtempSync(join(tmpdir(), 'sluice-sink-'))
  file(name: string): string {
    return join(this.path, name)
  }
  read(name: string): string {
    return readFileSync(this.file(name), 'utf8')
  }
  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}

/** A named pipe with both ends open here. */
class Pipe {
  readonly #folder = new Folder()
  readonly #readEnd: number
  readonly writeEnd: number
  received = ''
  #readIsOpen = true

  constructor() {
    const path = this.#folder.file('pipe')
    execFileSync('mkfifo', [path])
    this.#readEnd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    this.writeEnd = openSync(path, constants.O_WRONLY)
  }

  /** Reads what is there. */
  drain(): void {
    const buffer = Buffer.alloc(64 * 1024)
    try {
      for (let count = -1; count !== 0; ) {
        count = readSync(this.#readEnd, buffer)
        this.received += buffer.latin1Slice(0, count)
      }
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error
    }
  }

  closeReadEnd(): void {
    if (this.#readIsOpen) closeSync(this.#readEnd)
    this.#readIsOpen = false
  }

  [Symbol.dispose](): void {
    this.closeReadEnd()
    closeSync(this.writeEnd)
    this.#folder[Symbol.dispose]()
  }
}
