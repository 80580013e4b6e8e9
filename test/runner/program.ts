/**
 * The program under test in few files, for processes that tests start: one that would load four hundred modules one by one loads a
 * dozen. Made of `core/` as it is, each time tests are run; its files have the names that they had before, so that compiled code of
 * those that did not change is found again, and that of the others is replaced (core/process/module-cache.ts).
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build, type Metafile, type Plugin, stop, transform } from 'esbuild'
import { root } from '../support/process.ts'

const core = join(root, 'core')
const program = join(root, 'node_modules/.test-program')
const FAKE_WORKER = join(root, 'test/support/fake-worker.ts')
const ENTRIES = [
  ...['main', 'index', 'plugin', 'testing'],
  ...['process/worker', 'check/checker-process', 'testing/simulation-process', 'sandbox/engine/host', 'sandbox/engine/profile-host'],
]

/** Its folder, laid out as `core/` is: `main.js`, `process/worker.js` and so on. */
export async function buildProgram(): Promise<string> {
  const { outputFiles, metafile } = await build({
    entryPoints: [...ENTRIES.map((entry) => ({ in: join(core, `${entry}.ts`), out: entry })), { in: FAKE_WORKER, out: 'test/fake-worker' }],
    absWorkingDir: root,
    outdir: '/',
    chunkNames: '[name]-[hash]',
    bundle: true,
    splitting: true,
    write: false,
    metafile: true,
    format: 'esm',
    platform: 'node',
    target: 'esnext',
    packages: 'external',
    legalComments: 'none',
    // Comments have letters beyond ASCII, and would double what V8 reads, hashes and keeps of a file.
    minifyWhitespace: true,
    lineLimit: 160,
    logLevel: 'error',
    plugins: [sourcePlaces],
  })
  // Its process would hold this one up.
  await stop()
  const names = steadyNames(metafile)
  const rename = (text: string): string => text.replace(/[\w.-]+-[A-Z0-9]{8}\.js/g, (name) => names.get(name) ?? name)
  const files = outputFiles.map(({ path, text }): [string, string] => [rename(path.slice(1)), rename(text)])
  replaceProgram([...files, ['package.json', manifest()]])
  return program
}

/** By name with a hash. A module is in one chunk, so its path can stand for that; what is imported by need may be in another one. */
function steadyNames({ outputs }: Metafile): Map<string, string> {
  const names = new Map<string, string>()
  for (const [path, { entryPoint, inputs }] of Object.entries(outputs)) {
    const name = basename(path)
    const [first] = Object.keys(inputs)
    if (entryPoint !== undefined) names.set(name, `door.${flat(entryPoint)}`)
    else if (first !== undefined) names.set(name, `part.${flat(first)}`)
  }
  for (const entry of ENTRIES) names.delete(`${basename(entry)}.js`)
  return names
}

/** `core/net/cidr.ts` → `net.cidr.js`. */
function flat(path: string): string {
  return relative(core, join(root, path)).replaceAll('/', '.').replace(/\.ts$/, '.js')
}

/** A project with a link to the folder gets what was made here, and the types of the sources. */
function manifest(): string {
  const own = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { exports: Record<string, string | object> }
  const doors = Object.entries(own.exports).map(([door, types]) => {
    if (typeof types !== 'string') return [door, types]
    return [door, { types, default: types.replace('./core/', './').replace(/\.ts$/, '.js') }]
  })
  return JSON.stringify({ ...own, bin: { sluice: './main.js' }, exports: Object.fromEntries(doors) })
}

/** What sources say of where they lie stays true: templates, types and the guest's sources are read from there. */
const sourcePlaces: Plugin = {
  name: 'source places',
  setup({ onLoad }) {
    onLoad({ filter: /\/core\/.*\.ts$/ }, async ({ path }) => {
      const text = await readFile(path, 'utf8')
      // Where entries lie is where they are made.
      if (!text.includes('import.meta') || path === join(core, 'entry-files.ts')) return undefined
      const define = {
        'import.meta.url': JSON.stringify(pathToFileURL(path).href),
        'import.meta.dirname': JSON.stringify(dirname(path)),
      }
      return { contents: (await transform(text, { loader: 'ts', target: 'esnext', define })).code }
    })
  },
}

/** As a whole, and only if it is another: somebody else may be running tests. */
function replaceProgram(files: readonly (readonly [path: string, text: string])[]): void {
  const hash = createHash('sha256').update(JSON.stringify(files)).digest('hex')
  const stamp = join(program, 'stamp')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) return
  const [next, last] = [`${program}.${process.pid}`, `${program}.${process.pid}.old`]
  for (const [path, text] of [...files, ['stamp', hash] as const]) {
    mkdirSync(dirname(join(next, path)), { recursive: true })
    writeFileSync(join(next, path), text)
  }
  symlinkSync(core, join(next, 'core'))
  if (existsSync(program)) renameSync(program, last)
  renameSync(next, program)
  rmSync(last, { recursive: true, force: true })
}
