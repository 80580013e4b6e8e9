/**
 * The program under test in few files, for processes that tests start: one that would load four hundred modules one by one loads a
 * dozen. Made of `core/` as it is, each time tests are run; what is made of the same sources lies in the same folder, so that compiled
 * code of it is found again (core/process/module-cache.ts).
 */
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build, type Plugin, stop, transform } from 'esbuild'
import { root } from '../support/process.ts'

const core = join(root, 'core')
const programs = join(root, 'node_modules/.test-programs')
const ENTRIES = [
  ...['main', 'index', 'plugin', 'testing'],
  ...['process/worker', 'check/checker-process', 'testing/simulation-process', 'sandbox/engine/host', 'sandbox/engine/profile-host'],
]
const KEPT_MS = 3 * 86_400_000

/** Its folder, laid out as `core/` is: `main.js`, `process/worker.js` and so on. */
export async function buildProgram(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: ENTRIES.map((entry) => join(core, `${entry}.ts`)),
    outbase: core,
    outdir: '/',
    chunkNames: '[name]-[hash]',
    bundle: true,
    splitting: true,
    write: false,
    format: 'esm',
    platform: 'node',
    target: 'esnext',
    packages: 'external',
    charset: 'utf8',
    legalComments: 'none',
    logLevel: 'error',
    plugins: [sourcePlaces],
  })
  // Its process would hold this one up.
  await stop()
  const files = outputFiles.map(({ path, contents }): [string, string | Uint8Array] => [path.slice(1), contents])
  files.push(['package.json', manifest()])
  const hash = createHash('sha256')
  for (const [path, contents] of files) hash.update(path).update(contents)
  const folder = join(programs, hash.digest('hex').slice(0, 16))
  if (!existsSync(folder)) write(folder, files)
  removeOld(folder)
  return folder
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

/** Whole or not at all: another run may look for it. */
function write(folder: string, files: readonly (readonly [string, string | Uint8Array])[]): void {
  const half = `${folder}.${process.pid}`
  for (const [path, contents] of files) {
    mkdirSync(dirname(join(half, path)), { recursive: true })
    writeFileSync(join(half, path), contents)
  }
  symlinkSync(core, join(half, 'core'))
  try {
    renameSync(half, folder)
  } catch (error) {
    rmSync(half, { recursive: true })
    if (!existsSync(folder)) throw error
  }
}

/** Others may be in use by other runs. */
function removeOld(used: string): void {
  const now = Date.now()
  utimesSync(used, now / 1000, now / 1000)
  for (const name of readdirSync(programs)) {
    const folder = join(programs, name)
    if (now - statSync(folder).mtimeMs > KEPT_MS) rmSync(folder, { recursive: true, force: true })
  }
}
