/** npm packages that a config imports: which are plugins, and whether the others are still what they were. */
import { hash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'

export interface Package {
  /** Its package.json. */
  readonly file: string
  readonly json: PackageJson
}

export interface PackageJson {
  readonly name?: string
  readonly version?: string
  readonly keywords?: readonly string[]
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  /** What a plugin says of itself: the version of the plugin API that it was built for. */
  readonly sluice?: { readonly api?: number }
}

/** The package that a file belongs to; null if there is none. */
export async function findPackage(file: string): Promise<Package | null> {
  for (let folder = dirname(file); ; folder = dirname(folder)) {
    const path = join(folder, 'package.json')
    const json = await readJson(path)
    // One without a name only says of which type the files beside it are.
    if (json?.name !== undefined) return { file: path, json }
    if (folder === dirname(folder)) return null
  }
}

export function isInPackage({ name }: PackageJson, specifier: string): boolean {
  return name !== undefined && (specifier === name || specifier.startsWith(`${name}/`))
}

export function isPluginPackage({ keywords, dependencies, peerDependencies }: PackageJson): boolean {
  return keywords?.includes('sluice-plugin') === true || 'sluice' in (dependencies ?? {}) || 'sluice' in (peerDependencies ?? {})
}

export function toFileUrl(path: string): string {
  return pathToFileURL(path).href
}

/** Another stamp: a process that has imported these packages has other ones. */
export async function stampOf(
  packages: readonly { readonly entry: string; readonly home: Package | null }[],
): Promise<{ stamp: string; files: readonly string[] }> {
  if (packages.length === 0) return { stamp: '', files: [] }
  const lines = packages.map(async ({ entry, home }) => {
    const { size, mtimeMs } = await stat(entry).catch(() => ({ size: 0, mtimeMs: 0 }))
    return `${entry} ${home?.json.name} ${home?.json.version} ${size} ${mtimeMs}`
  })
  const files = packages.flatMap(({ entry, home }) => (home === null ? [entry] : [entry, home.file]))
  return { stamp: hash('sha256', (await Promise.all(lines)).sort().join('\n'), 'base64url').slice(0, 16), files }
}

async function readJson(path: string): Promise<PackageJson | null> {
  try {
    return JSON.parse(await readFile(path, 'utf8'))
  } catch {
    return null
  }
}
