/**
 * Compiles core/ into a folder that runs from `node_modules`, where Node strips no types: JavaScript, the declarations that an editor
 * needs, and the files that are read as they are. What was in the folder before is gone.
 */
import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, normalize, resolve } from 'node:path'

const core = resolve(import.meta.dirname, '..')
const root = dirname(core)

/** Not compiled: types that only plugins see, and what `init` and `plugin new` write. */
const COPIED = ['sandbox/globals.d.ts', 'text-files.d.ts', 'cli/templates']
/** What a user's program may import. */
const DOORS = ['index.d.ts', 'plugin.d.ts', 'testing.d.ts']

/** Throws with the compiler's words. */
export function buildPackage(folder: string): void {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const compiler = join(root, 'node_modules/.bin/tsc')
  const { status, stdout, error } = spawnSync(compiler, ['-p', import.meta.dirname, '--outDir', folder], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`core/ does not compile:\n${error?.message ?? stdout}`)
  for (const path of COPIED) cpSync(join(core, path), join(folder, path), { recursive: true })
  const door = join(folder, 'plugin.d.ts')
  // The compiler lets it point at the source.
  writeFileSync(door, readFileSync(door, 'utf8').replace(/(<reference path=")[^"]*\//, '$1./'))
  removeInnerDeclarations(folder)
  chmodSync(join(folder, 'main.js'), 0o755)
}

/** Declarations that no door leads to would be a fifth of the package. */
function removeInnerDeclarations(folder: string): void {
  const kept = new Set(DOORS)
  for (const path of kept) {
    const text = readIfThere(join(folder, path))
    for (const [, name] of text.matchAll(/(?:from |import\()['"](\.[^'"]+)\.[jt]s['"]/g)) kept.add(join(dirname(path), `${name}.d.ts`))
  }
  const emitted = globSync('**/*.d.ts', { cwd: folder }).filter((path) => !COPIED.some((copied) => path.startsWith(normalize(copied))))
  for (const path of emitted) if (!kept.has(path)) rmSync(join(folder, path))
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
