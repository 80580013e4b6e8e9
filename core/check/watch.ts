/**
 * Tells when the content of a file among many has changed, whatever way it was saved: written in place, renamed over, deleted and made
 * again, by a link that points elsewhere, with the folder around it. Told once for a burst of saves; never for what changed back, nor for
 * what only looks different from outside. What happens is only a reason to look: what counts is what was read.
 */
import { hash } from 'node:crypto'
import { statSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { FSWatcher } from 'chokidar'
import { type Trace, Tracer } from './trace.ts'

export interface WatchOptions {
  /** Changed files, as they were named. A burst of saves is one call. */
  readonly onChange: (files: readonly string[]) => void
  /** Something may have changed: `onChange` follows soon, if it has. */
  readonly onStir?: () => void
  /** The system cannot watch: from now on the files are looked at once a second. Told once. */
  readonly onError?: (error: Error) => void
  /** Another than chokidar's own. */
  readonly createWatcher?: (options: { readonly isIgnored: (path: string) => boolean }) => FSWatcher
}

interface Watched {
  trace: Trace
  /** What `stat` says; '' if it is not there. */
  signature: string
  /** Of its content; '' if it is not there. */
  content: string
}

/** No event for so long: whoever wrote has finished. */
const QUIET_MS = 20
/** Somebody writes without pause: looked at in between. */
const MOST_QUIET_MS = 500
/** A file that is gone or empty is often about to be written. */
const EMPTY_MS = 100
const POLL_MS = 1_000
/** Beyond this size, size and time stand for the content. */
const MOST_BYTES = 8 * 1024 ** 2
/** File systems count time more coarsely than clocks. */
const CLOCK_STEP_MS = 5
const READS_AT_ONCE = 64

export class FileWatch {
  readonly #options: WatchOptions
  #watcher: FSWatcher
  readonly #files = new Map<string, Watched>()
  /** Which files an event at a path concerns. */
  #spots = new Map<string, Set<string>>()
  /** Folders that are watched, and which ones they were: a path may come to mean another. */
  #folders = new Map<string, string>()
  readonly #stirred = new Set<string>()
  /** Gone or empty when last looked at, since when. */
  readonly #hollow = new Map<string, number>()
  #firstStir = 0
  #timer: NodeJS.Timeout | null = null
  #poll: NodeJS.Timeout | null = null
  #work: Promise<void> = Promise.resolve()
  #busy = 0
  /** Watchers that are closing. */
  #replaced: Promise<unknown> = Promise.resolve()
  #isClosed = false

  constructor(options: WatchOptions) {
    this.#options = options
    this.#watcher = this.#open()
  }

  /**
   * The files to watch from now on, absolute paths; they need not exist. `since`: the time (of `Date.now()`) at which reading them
   * began: one that is new here and has changed after that is told.
   */
  set(files: readonly string[], since = Date.now()): void {
    const wanted = new Set(files)
    for (const file of this.#files.keys()) if (!wanted.has(file)) this.#forget(file)
    const tracer = new Tracer()
    const added = [...wanted].filter((file) => !this.#files.has(file))
    for (const file of added) this.#files.set(file, { trace: tracer.trace(file), signature: '', content: '' })
    this.#follow()
    this.#do(() => this.#readFirst(added, since))
  }

  /** Nothing is waiting to be looked at. */
  get isIdle(): boolean {
    return this.#busy === 0 && this.#timer === null
  }

  async close(): Promise<void> {
    this.#isClosed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    if (this.#poll !== null) clearInterval(this.#poll)
    this.#files.clear()
    await Promise.all([this.#watcher.close(), this.#replaced, this.#work])
  }

  #forget(file: string): void {
    this.#files.delete(file)
    this.#stirred.delete(file)
    this.#hollow.delete(file)
  }

  #open(): FSWatcher {
    const isIgnored = (path: string): boolean => !this.#spots.has(path) && !this.#folders.has(path)
    const watcher =
      this.#options.createWatcher?.({ isIgnored }) ??
      new FSWatcher({ depth: 0, followSymlinks: false, atomic: false, ignored: (path) => isIgnored(path) })
    // Until then it tells of what it finds, not of what happens.
    let isReady = false
    watcher.on('raw', (_event, name, details) => this.#onRaw(name, details))
    watcher.on('all', (_event, path) => this.#stir(path, isReady))
    watcher.on('error', (error) => this.#onError(error))
    // What happened before the system began to tell.
    watcher.once('ready', () => {
      isReady = true
      this.#stirAll()
    })
    return watcher
  }

  /** Watches the folders that the traces of all files tell. */
  #follow(): void {
    const spots = new Map<string, Set<string>>()
    const folders = new Map<string, string>()
    for (const [file, { trace }] of this.#files) {
      for (const spot of trace.spots) {
        const files = spots.get(spot)
        if (files === undefined) spots.set(spot, new Set([file]))
        else files.add(file)
      }
      for (const folder of trace.folders) if (!folders.has(folder)) folders.set(folder, identityOf(folder))
    }
    const before = this.#folders
    this.#spots = spots
    this.#folders = folders
    if ([...before].some(([folder, identity]) => folders.get(folder) !== identity)) this.#reopen()
    else this.#watcher.add([...folders.keys()].filter((folder) => !before.has(folder)))
  }

  /** A watcher keeps something of every folder it has known: it is not made to forget, but replaced. */
  #reopen(): void {
    const before = this.#watcher
    this.#watcher = this.#open()
    this.#watcher.add([...this.#folders.keys()])
    // At once: what is set next is added to the new one, whether or not the old one has closed.
    this.#replaced = Promise.all([this.#replaced, before.close()])
  }

  #onRaw(name: unknown, details: unknown): void {
    const folder = isDetails(details) ? details.watchedPath : null
    if (folder === null || typeof name !== 'string') return this.#stirAll()
    // A folder tells its own end by its own name.
    this.#stir(join(folder, name))
    if (folder.endsWith(`/${name}`)) this.#stir(folder)
  }

  #onError(error: unknown): void {
    if (this.#poll !== null || this.#isClosed) return
    this.#options.onError?.(new Error(explain(error)))
    this.#poll = setInterval(() => this.#stirAll(), POLL_MS)
  }

  #stirAll(): void {
    for (const file of this.#files.keys()) this.#stirred.add(file)
    if (this.#stirred.size > 0) this.#lookSoon(QUIET_MS)
  }

  #stir(spot: string, isEvent = true): void {
    const files = this.#spots.get(spot)
    if (files === undefined) return
    for (const file of files) this.#stirred.add(file)
    this.#lookSoon(QUIET_MS)
    if (isEvent) this.#options.onStir?.()
  }

  #lookSoon(ms: number): void {
    if (this.#isClosed) return
    const now = performance.now()
    if (this.#timer === null) this.#firstStir = now
    else clearTimeout(this.#timer)
    const most = this.#firstStir + MOST_QUIET_MS - now
    this.#timer = setTimeout(
      () => {
        this.#timer = null
        this.#do(() => this.#look())
      },
      Math.max(0, Math.min(ms, most)),
    )
  }

  /** One after the other. */
  #do(work: () => Promise<void>): void {
    this.#busy++
    this.#work = this.#work.then(async () => {
      if (!this.#isClosed) await work()
      this.#busy--
    })
  }

  async #readFirst(files: readonly string[], since: number): Promise<void> {
    const changed: string[] = []
    await inParts(files, async (file) => {
      const watched = this.#files.get(file)
      if (watched === undefined) return
      const seen = await see(file)
      Object.assign(watched, { signature: seen.signature, content: seen.content ?? (await contentOf(file, seen)) })
      // Looked at again: it may have been written just before it was read.
      const { changedAt } = await see(file)
      if (changedAt > since + CLOCK_STEP_MS) changed.push(file)
    })
    this.#tell(changed)
  }

  async #look(): Promise<void> {
    const files = [...this.#stirred]
    this.#stirred.clear()
    const changed: string[] = []
    const tracer = new Tracer()
    let isMoved = false
    await inParts(files, async (file) => {
      const watched = this.#files.get(file)
      if (watched === undefined) return
      const trace = tracer.trace(file)
      const isElsewhere = trace.real !== null && watched.trace.real !== null && trace.real !== watched.trace.real
      const seen = await see(file)
      if (!isElsewhere && seen.signature === watched.signature) {
        // Still not there, but nearer: the folder it is to be in has come.
        if (!isSame(trace, watched.trace)) isMoved = true
        watched.trace = trace
        return void this.#hollow.delete(file)
      }
      if (seen.isHollow && this.#isFresh(file)) return
      this.#hollow.delete(file)
      const content = seen.content ?? (await contentOf(file, seen))
      if (isElsewhere || content !== watched.content) changed.push(file)
      if (!isSame(trace, watched.trace)) isMoved = true
      Object.assign(watched, { trace, signature: seen.signature, content })
    })
    if (isMoved || this.#hasOtherFolders()) this.#follow()
    this.#tell(changed)
  }

  /** Whether it has been gone or empty for too short a time to believe it; then it is looked at again. */
  #isFresh(file: string): boolean {
    const now = performance.now()
    const since = this.#hollow.get(file) ?? now
    this.#hollow.set(file, since)
    if (now - since >= EMPTY_MS) return false
    this.#stirred.add(file)
    this.#lookSoon(Math.max(QUIET_MS, since + EMPTY_MS - now))
    return true
  }

  #hasOtherFolders(): boolean {
    return [...this.#folders].some(([folder, identity]) => identityOf(folder) !== identity)
  }

  #tell(changed: readonly string[]): void {
    if (changed.length > 0 && !this.#isClosed) this.#options.onChange(changed)
  }
}

interface Seen {
  readonly signature: string
  readonly changedAt: number
  readonly isHollow: boolean
  /** Null: it has to be read. */
  readonly content: string | null
}

const ABSENT: Seen = { signature: '', changedAt: 0, isHollow: true, content: '' }

async function see(file: string): Promise<Seen> {
  try {
    const stats = await stat(file)
    const { ino, size, mtimeMs, ctimeMs } = stats
    const content = stats.isFile() ? (size > MOST_BYTES ? `${size} ${mtimeMs}` : null) : 'no file'
    return { signature: `${ino} ${size} ${mtimeMs} ${ctimeMs}`, changedAt: ctimeMs, isHollow: size === 0, content }
  } catch {
    return ABSENT
  }
}

async function contentOf(file: string, { signature }: Seen): Promise<string> {
  try {
    return hash('sha1', await readFile(file), 'base64')
  } catch {
    // Gone in between, or not readable: known by what can be seen of it.
    return signature
  }
}

async function inParts(files: readonly string[], see: (file: string) => Promise<void>): Promise<void> {
  for (let from = 0; from < files.length; from += READS_AT_ONCE) await Promise.all(files.slice(from, from + READS_AT_ONCE).map(see))
}

function explain(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const why = LIMITS[code] ?? (error instanceof Error ? error.message : String(error))
  return `files cannot be watched: ${why}; they are looked at once a second instead`
}

const LIMITS: Readonly<Record<string, string>> = {
  ENOSPC: 'the limit fs.inotify.max_user_watches is reached',
  EMFILE: 'the limit fs.inotify.max_user_instances, or that of open files, is reached',
}

function identityOf(folder: string): string {
  try {
    const { dev, ino } = statSync(folder)
    return `${dev} ${ino}`
  } catch {
    // Gone, not to be seen, or a link that leads to itself.
    return ''
  }
}

function isSame(a: Trace, b: Trace): boolean {
  return a.real === b.real && a.spots.size === b.spots.size && a.spots.isSubsetOf(b.spots)
}

function isDetails(details: unknown): details is { readonly watchedPath: string } {
  return typeof details === 'object' && details !== null && 'watchedPath' in details && typeof details.watchedPath === 'string'
}
