/**
 * Where compiled modules are kept between starts. A worker that finds its modules there starts in half the time and needs 20 MB less,
 * for it never loads the compiler that strips types. Only in a folder that nobody else can write: what is there is run.
 */
import { mkdirSync, statSync } from 'node:fs'
import { readdir, rm, stat } from 'node:fs/promises'
import { enableCompileCache, flushCompileCache } from 'node:module'
import os from 'node:os'
import path from 'node:path'

/** Creates it, and uses it for this process and those it will start; null where there is no such folder. */
export function openModuleCache(env: NodeJS.ProcessEnv = process.env): string | null {
  const folder = findModuleCache(env)
  if (folder === null || folder === env.NODE_COMPILE_CACHE) return folder
  enableCompileCache(folder)
  env.NODE_COMPILE_CACHE = folder
  return folder
}

/** Creates it, for a process that is to be started with it; null where there is no such folder. */
export function findModuleCache(env: NodeJS.ProcessEnv = process.env): string | null {
  if (env.NODE_DISABLE_COMPILE_CACHE !== undefined) return null
  if (env.NODE_COMPILE_CACHE !== undefined) return env.NODE_COMPILE_CACHE
  const folder = ownFolder(env)
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const { uid, mode } = statSync(folder)
    if ((process.getuid !== undefined && uid !== process.getuid()) || (process.platform !== 'win32' && (mode & 0o022) !== 0)) return null
  } catch {
    return null
  }
  return folder
}

export interface Most {
  /** Of each kind of process, by Node's version and flags. Of one program it has about a thousand. */
  readonly files: number
  /** Kinds of processes. */
  readonly folders: number
}

/**
 * Removes what was used longest ago of what is too much: of programs that lay elsewhere, and of versions of Node that are gone. Only
 * where nobody else keeps his. Never rejects.
 */
export async function sweepModuleCache(
  folder: string,
  { most = { files: 10_000, folders: 32 }, env = process.env }: { most?: Most; env?: NodeJS.ProcessEnv } = {},
): Promise<void> {
  if (folder !== ownFolder(env)) return
  const kinds = await readdir(folder).catch(() => [])
  await removeOldest(folder, kinds, most.folders)
  for (const kind of kinds) {
    const place = path.join(folder, kind)
    await removeOldest(place, await readdir(place).catch(() => []), most.files)
  }
}

/** So that `most` of them stay at most, and half of that if there were more: it is not to be done at each start. */
async function removeOldest(folder: string, names: readonly string[], most: number): Promise<void> {
  if (names.length <= most) return
  const found: { readonly place: string; readonly usedAt: number }[] = []
  for (const name of names) {
    const place = path.join(folder, name)
    // Others may sweep, too.
    const stats = await stat(place).catch(() => null)
    if (stats === null) continue
    // Looking at what is in a folder is no use of it.
    found.push({ place, usedAt: stats.isDirectory() ? stats.mtimeMs : Math.max(stats.atimeMs, stats.mtimeMs) })
  }
  found.sort((a, b) => b.usedAt - a.usedAt)
  for (const { place } of found.slice(Math.floor(most / 2))) await rm(place, { recursive: true, force: true }).catch(() => {})
}

function ownFolder(env: NodeJS.ProcessEnv): string {
  return path.join(env.XDG_CACHE_HOME || path.join(os.homedir(), '.cache'), 'sluice')
}

/**
 * True if this process had to strip types because the cache did not know a module; writes what it has compiled to the cache. Such a
 * process is better replaced: the compiler stays in its memory.
 */
export function fillModuleCache(): boolean {
  const { moduleLoadList } = process as unknown as { moduleLoadList?: readonly string[] }
  const stripped = moduleLoadList?.some((name) => name.includes('deps/amaro')) === true
  if (stripped) flushCompileCache()
  return stripped
}
