/** npm packages that a config imports: which are plugins, and how the others are named when the bundle is evaluated. */
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'

export interface PackageJson {
  readonly name?: string
  readonly keywords?: readonly string[]
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
}

/** The package.json of the package that a file belongs to; null if there is none. */
export async function findPackage(file: string): Promise<PackageJson | null> {
  for (let folder = dirname(file); ; folder = dirname(folder)) {
    const json = await readJson(join(folder, 'package.json'))
    // One without a name only says of which type the files beside it are.
    if (json?.name !== undefined) return json
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

async function readJson(path: string): Promise<PackageJson | null> {
  try {
    return JSON.parse(await readFile(path, 'utf8'))
  } catch {
    return null
  }
}
