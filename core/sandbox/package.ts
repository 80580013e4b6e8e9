/**
 * The npm package that a plugin came in: its version, and whether this program is one that it was built for. Runs in the supervisor
 * only: it loads semver.
 */
import { readFileSync } from 'node:fs'
import { findPackageJSON } from 'node:module'
import { sep } from 'node:path'
import satisfies from 'semver/functions/satisfies.js'
import ltr from 'semver/ranges/ltr.js'
import validRange from 'semver/ranges/valid.js'
import { findPackage, type PackageJson } from '../config/packages.ts'
import { apiVersion } from '../plugin-api.ts'
import type { PluginPackage } from './source.ts'

export interface PackageFound {
  readonly package: PluginPackage
  /** Its package.json: another one may be another version. */
  readonly file: string
}

/** Null for a plugin of the project's own. Throws a sentence if the package was built for another sluice. `entry`: a real path. */
export async function packageOf(entry: string): Promise<PackageFound | null> {
  const home = await findPackage(entry)
  if (home === null) return null
  const { json, file } = home
  const isInstalled = entry.includes(`${sep}node_modules${sep}`)
  if (!isInstalled && json.keywords?.includes('sluice-plugin') !== true) return null
  const reason = whyUnfit(json, ownVersion())
  if (reason !== null) throw new Error(reason)
  return { package: { name: json.name!, version: json.version ?? '0.0.0', builtFor: rangeOf(json) }, file }
}

/** Why a sluice of that version cannot run it, with what helps; null if it can. */
export function whyUnfit(json: PackageJson, version: string, api: number = apiVersion): string | null {
  const name = `${json.name} ${json.version ?? '(without a version)'}`
  const wanted = json.sluice?.api
  if (wanted !== undefined && !(Number.isInteger(wanted) && wanted >= 1))
    return `${name} says "sluice": { "api": ${JSON.stringify(wanted)} } in its package.json, which has to be a whole number from 1 on`
  if (wanted !== undefined && wanted > api)
    return `${name} was built for plugin API ${wanted}, this sluice has ${api}: update sluice, or install an older ${json.name}`
  const range = rangeOf(json)
  if (range === null || satisfies(version, range, { includePrerelease: true })) return null
  const remedy = ltr(version, range)
    ? `npm install sluice@"${range}", or an older ${json.name}`
    : `npm install ${json.name}@latest, or sluice@"${range}"`
  return `${name} was built for sluice ${range}, this is ${version}: ${remedy}`
}

/** What it says of the versions of sluice that it runs with; null where it says nothing that could be compared: a folder, a tarball. */
function rangeOf({ peerDependencies }: PackageJson): string | null {
  const range = peerDependencies?.sluice
  return range !== undefined && validRange(range) !== null ? range : null
}

let version: string | null = null

function ownVersion(): string {
  version ??= (JSON.parse(readFileSync(findPackageJSON(import.meta.url)!, 'utf8')) as { version: string }).version
  return version
}
