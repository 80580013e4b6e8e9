/**
 * The file that a path names, opened: inside of its folder and nowhere else, by whatever links. Whoever gets an open one closes it. At most
 * MOST_OPEN are open at a time, a worker.
 */
import * as fs from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { monotonicMs } from '../clock.ts'
import { isHidden, namesOf } from '../net/file-names.ts'
import type { FilesDestination } from '../plan/plan.ts'
import { chooseEncoding } from '../policy/accept-encoding.ts'
import { hasKnownType, loadTypes, typeOf } from './types.ts'

/** Each has a buffer of 128 KiB beside it while it is sent. */
const MOST_OPEN = 2048

export interface OpenFile {
  readonly descriptor: number
  readonly path: string
  readonly size: number
  readonly modifiedMs: number
  readonly type: string
  /** As the file is stored; null: plain. */
  readonly coding: string | null
  /** Which file it is depends on what codings the client takes. */
  readonly varies: boolean
}

export type MissCode = 'file_not_found' | 'file_refused' | 'file_failed' | 'files_busy'
export type Found =
  | { readonly kind: 'file'; readonly file: OpenFile }
  | { readonly kind: 'listing'; readonly folder: string }
  /** A folder that was asked for as a file: relative references in its index would go astray. */
  | { readonly kind: 'slash' }
  | Miss
export interface Miss {
  readonly kind: 'miss'
  readonly code: MissCode
  readonly detail: string
}

export interface Asked {
  /** Normalised. */
  readonly path: string
  /** Of the path that the client knows. */
  readonly endsInSlash: boolean
  readonly accepts: string | null
}

export async function findFile(files: FilesDestination, asked: Asked): Promise<Found> {
  await loadTypes()
  const now = monotonicMs()
  const known = roots.get(files)
  const root = known !== undefined && now < known.until ? known : await rootOf(files, now)
  if (root.kind === 'miss') return root
  const found = await inRoot(files, root, asked)
  if (root !== known || found.kind !== 'miss') return found
  // The folder may have been exchanged for another one, by its link.
  const current = await rootOf(files, now)
  return current.kind === 'miss' || current.path === root.path ? found : inRoot(files, current, asked)
}

async function inRoot(files: FilesDestination, root: Root, asked: Asked): Promise<Found> {
  if (root.isFile) return named(files, root.path, { names: [], accepts: asked.accepts })
  const names = namesOf(asked.path)
  if (names === null || (!files.dotfiles && isHidden(names))) return missing(asked.path)
  const found = await inFolder(files, root.path, { ...asked, names })
  if (found.kind !== 'miss' || found.code !== 'file_not_found' || files.fallback === null) return found
  if (names.length > 0 && hasKnownType(names.at(-1)!, files.types)) return found
  return named(files, root.path, { names: files.fallback.split('/'), accepts: asked.accepts })
}

export function closeFile({ descriptor }: Pick<OpenFile, 'descriptor'>): void {
  open--
  fs.close(descriptor, () => {})
}

// ── where it is looked for ─────────────────────────────────────────────────────────────────────────────────────────

/** A folder, as mostly, or one file for whatever path. */
interface Root {
  readonly kind: 'root'
  /** Links resolved. */
  readonly path: string
  readonly isFile: boolean
  readonly until: number
}

const ROOT_MS = 1000
const roots = new WeakMap<FilesDestination, Root>()

async function rootOf(files: FilesDestination, now: number): Promise<Root | Miss> {
  try {
    const path = await realpath(files.root)
    const root: Root = { kind: 'root', path, isFile: (await stat(path)).isFile(), until: now + ROOT_MS }
    roots.set(files, root)
    return root
  } catch (error) {
    roots.delete(files)
    return missOf(error, files.root)
  }
}

// ── looking for it ─────────────────────────────────────────────────────────────────────────────────────────────────

type Names = Pick<Asked, 'accepts'> & { readonly names: readonly string[] }

async function inFolder(files: FilesDestination, root: string, asked: Asked & Names): Promise<Found> {
  const { names, endsInSlash, path } = asked
  const at = await openedIn(files, root, names)
  if (at.kind === 'file') {
    if (!path.endsWith('/')) return { kind: 'file', file: await told(files, at, { ...asked, root, name: names.at(-1)! }) }
    closeFile(at)
    return missing(path)
  }
  if (at.kind === 'miss') return at
  if (files.index === null && !files.listing) return missing(path)
  if (!endsInSlash) return { kind: 'slash' }
  if (files.index !== null) {
    const index = await named(files, root, { ...asked, names: [...names, files.index] })
    if (index.kind !== 'miss' || index.code !== 'file_not_found') return index
  }
  return files.listing ? { kind: 'listing', folder: at.path } : missing(path)
}

/** The file of just these names; of none, the root itself. */
async function named(files: FilesDestination, root: string, { names, accepts }: Names): Promise<Found> {
  const at = await openedIn(files, root, names)
  const toTell = names.length === 0 ? { root: dirname(root), name: basename(root), accepts } : { root, name: names.at(-1)!, accepts }
  if (at.kind === 'file') return { kind: 'file', file: await told(files, at, toTell) }
  return at.kind === 'miss' ? at : missing(at.path)
}

/** One that is stored in a coding, in the place of the plain one, if there is one that the client takes. */
async function told(
  files: FilesDestination,
  plain: OpenedFile,
  { root, name, accepts }: { readonly root: string; readonly name: string; readonly accepts: string | null },
): Promise<OpenFile> {
  const facts = { type: typeOf(name, files.types), varies: files.precompressed.length > 0 }
  let offered = files.precompressed
  for (let coding = chooseEncoding(accepts, offered); coding !== null; coding = chooseEncoding(accepts, offered)) {
    const stored = await opened(plain.path + SUFFIX[coding], files.links ? null : root)
    if (stored.kind === 'file') {
      closeFile(plain)
      return { ...stored, ...facts, coding }
    }
    const tried = coding
    offered = offered.filter((one) => one !== tried)
  }
  return { ...plain, ...facts, coding: null }
}

const SUFFIX = { br: '.br', zstd: '.zst', gzip: '.gz' } as const

function missing(path: string): Miss {
  return { kind: 'miss', code: 'file_not_found', detail: `there is no file for ${path}` }
}

// ── opening it ─────────────────────────────────────────────────────────────────────────────────────────────────────

type OpenedFile = Pick<OpenFile, 'descriptor' | 'path' | 'size' | 'modifiedMs'> & { readonly kind: 'file' }
type Opened = OpenedFile | { readonly kind: 'folder'; readonly path: string } | Miss

function openedIn(files: FilesDestination, root: string, names: readonly string[]): Promise<Opened> {
  return opened(join(root, ...names), files.links ? null : root)
}

let open = 0
const realpath = promisify(fs.realpath.native)
const openDescriptor = promisify(fs.open)
const stat = promisify(fs.stat)
const statDescriptor = promisify(fs.fstat)
const { O_RDONLY, O_NOFOLLOW = 0, O_NONBLOCK = 0, O_NOCTTY = 0 } = fs.constants
/** The last name is no link any more; a pipe is not waited for. */
const FLAGS = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY

/** `inside`: where it has to be, links resolved; null: anywhere. */
async function opened(written: string, inside: string | null = null): Promise<Opened> {
  let descriptor = -1
  try {
    const path = await realpath(written)
    if (inside !== null && !isIn(path, inside)) return refused(`${written} is a link that leads out of ${inside}`)
    if (open >= MOST_OPEN) return { kind: 'miss', code: 'files_busy', detail: `${MOST_OPEN} files are open` }
    descriptor = await openDescriptor(path, FLAGS)
    open++
    const stats = await statDescriptor(descriptor)
    if (stats.isFile()) return { kind: 'file', descriptor, path, size: stats.size, modifiedMs: stats.mtimeMs }
    closeFile({ descriptor })
    return stats.isDirectory() ? { kind: 'folder', path } : refused(`${path} is neither a file nor a folder`)
  } catch (error) {
    if (descriptor >= 0) closeFile({ descriptor })
    return missOf(error, written)
  }
}

function isIn(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith('/') || folder.endsWith('\\') ? folder : join(folder, '/'))
}

function missOf(error: unknown, path: string): Miss {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ENAMETOOLONG') return missing(path)
  if (code === 'EACCES' || code === 'EPERM' || code === 'ELOOP') return refused(`${path} may not be read: ${code}`)
  if (code === 'EMFILE' || code === 'ENFILE') return { kind: 'miss', code: 'files_busy', detail: code }
  return { kind: 'miss', code: 'file_failed', detail: `${path}: ${String(error)}` }
}

function refused(detail: string): Miss {
  return { kind: 'miss', code: 'file_refused', detail }
}
