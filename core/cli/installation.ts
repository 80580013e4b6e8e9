/** Where this program lies, and how a project can name it: what `init`, `types` and `plugin new` write into manifests and tsconfigs. */
import { existsSync, readFileSync } from 'node:fs'
import { basename, dirname, join, resolve, sep } from 'node:path'

const isCompiled = import.meta.url.endsWith('.js')
/** `core/` of a checkout, `dist/` of a package. */
const programFolder = resolve(import.meta.dirname, '..')
export const packageFolder: string = dirname(programFolder)

/** The files with the types of each door. */
export const typeFiles = {
  sluice: typesOf('index'),
  'sluice/plugin': typesOf('plugin'),
  'sluice/testing': typesOf('testing'),
} as const
/** The globals inside the sandbox. */
export const sandboxTypes: string = join(programFolder, 'sandbox/globals.d.ts')

/** The types of Node that a checkout has; a package has none. */
export const ownTypeRoots: readonly string[] = isCompiled ? [] : [join(packageFolder, 'node_modules/@types')]

function typesOf(door: string): string {
  return join(programFolder, isCompiled ? `${door}.d.ts` : `${door}.ts`)
}

/** What a project's manifest says to depend on this program: a version, the tarball it was installed from, or the folder of a checkout. */
export function dependencyOn(): string {
  const { version } = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8')) as { version: string }
  return isCompiled ? (tarballOf(packageFolder) ?? `^${version}`) : `file:${packageFolder}`
}

/** The versions that a plugin written now will run with. */
export function peerRange(): string {
  const { version } = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8')) as { version: string }
  return `^${version}`
}

/** `file:/…/sluice-0.1.0.tgz` if npm installed the package in this folder from there; null if not, or if it is gone since. */
export function tarballOf(folder: string): string | null {
  const modules = dirname(folder)
  const lock = join(modules, '.package-lock.json')
  if (!existsSync(lock)) return null
  const { packages = {} } = JSON.parse(readFileSync(lock, 'utf8')) as { packages?: Record<string, { resolved?: string }> }
  const { resolved = '' } = packages[`node_modules/${basename(folder)}`] ?? {}
  if (!resolved.startsWith('file:')) return null
  const tarball = resolve(dirname(modules), resolved.slice('file:'.length))
  return existsSync(tarball) ? `file:${tarball}` : null
}

/** The folder of a package as a file in `folder` would find it, null if it is not installed. */
export function findInstalled(name: string, folder: string): string | null {
  for (let at = resolve(folder); ; at = dirname(at)) {
    const found = join(at, 'node_modules', name)
    if (existsSync(join(found, 'package.json'))) return found
    if (at === dirname(at)) return null
  }
}

/** What brings the runtime to a project, where the machine has none that is new enough: then this one comes out of a package, too. */
export function runtimeDependency(): Readonly<Record<string, string>> {
  const isOfPackage = process.execPath.includes(`${sep}node_modules${sep}`)
  return isOfPackage ? { node: `^${process.versions.node}` } : {}
}
