/**
 * Runs the test files that it is told of in one process, one after the other: the next begins only when nothing that the last one began
 * can happen any more, as if its process had ended. What a file has changed in the process and did not put back is told.
 */
import { readSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { MARK, ORDERS_FD, type Order, sayEnded } from './orders.ts'

interface Uvu {
  UVU_DEFER?: number
  UVU_INDEX?: number
  UVU_QUEUE?: unknown[][]
}

const uvu = globalThis as Uvu
// Without it, uvu runs by itself what a file has registered.
uvu.UVU_DEFER = 1
uvu.UVU_INDEX = 0
const { exec } = await import('uvu')

// What tests start by themselves (a simulation, a checker) is the program that was made of the sources, too.
const program = process.env.SLUICE_TEST_PROGRAM
if (program !== undefined) {
  const source = `export const entryFile = (entry) => ${JSON.stringify(program)} + '/' + entry + '.js'`
  registerHooks({
    load: (url, context, next) =>
      url.endsWith('/core/entry-files.ts') ? { format: 'module', source, shortCircuit: true } : next(url, context),
  })
}

const { write } = process.stdout
let isUnderway = false
let isOver = false
let before = new Map<string, unknown>()

// Nothing is left in the event loop.
process.on('beforeExit', () => {
  if (isUnderway) end()
  const order = readOrder()
  if (order === null) return
  isUnderway = true
  isOver = false
  before = describeProcess()
  process.env[MARK] = order.mark
  setImmediate(run, order.file)
})

async function run(file: string): Promise<void> {
  uvu.UVU_QUEUE = [[null]]
  await import(pathToFileURL(join(process.cwd(), file)).href)
  await exec()
  isOver = true
}

function end(): void {
  // A test waits for what cannot come any more; nobody else may be held up by what it was about to do.
  if (!isOver) process.exit(1)
  isUnderway = false
  delete process.env[MARK]
  const said = sayEnded({ exitCode: Number(process.exitCode ?? 0), changed: changes(), residentBytes: process.memoryUsage.rss() })
  process.exitCode = 0
  for (const stream of [process.stdout, process.stderr]) write.call(stream, said)
}

/** Waits for it without the event loop, which is empty; null when there are no more. */
function readOrder(): Order | null {
  const buffer = Buffer.alloc(4_096)
  let text = ''
  while (!text.endsWith('\n')) {
    const length = readSync(ORDERS_FD, buffer)
    if (length === 0) return null
    text += buffer.toString('utf8', 0, length)
  }
  return JSON.parse(text) as Order
}

function changes(): string[] {
  const after = describeProcess()
  return [...new Set([...before.keys(), ...after.keys()])].filter((name) => !Object.is(before.get(name), after.get(name)))
}

/** What files of one process share beside their modules, by name. */
function describeProcess(): Map<string, unknown> {
  const found = new Map<string, unknown>([
    ['process.cwd()', process.cwd()],
    ['process.umask()', process.umask()],
  ])
  for (const [name, value] of Object.entries(process.env)) if (name !== MARK) found.set(`process.env.${name}`, value)
  for (const name of process.eventNames()) if (name !== 'exit') found.set(`process.on(${String(name)})`, process.listenerCount(name))
  for (const name of ['stdout', 'stderr'] as const) found.set(`process.${name}.write`, process[name].write)
  const owners = { globalThis, process, console, Date, Math, JSON, performance }
  for (const [owner, object] of Object.entries(owners)) {
    for (const [key, { value }] of Object.entries(Object.getOwnPropertyDescriptors(object))) {
      if (typeof value === 'function') found.set(`${owner}.${key}`, value)
    }
  }
  return found
}
