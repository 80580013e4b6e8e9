/**
 * The names that a forward listener refuses: what the config and its lists name, less what is allowed. Read in steps of a few
 * milliseconds, and exchanged as a whole: nobody ever sees half a list.
 */
import { closeSync, existsSync, openSync, readSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import type { BlocklistPlan } from '../plan/forward-plan.ts'
import { ListReader } from './list-reader.ts'
import { BELOW, buildNow, type NameSet, NameSetBuilder, SELF } from './name-set.ts'

export class Blocklist {
  readonly #blocked: NameSet
  readonly #allowed: NameSet
  /** By source. */
  readonly #lists: readonly string[]

  constructor({ blocked, allowed, lists }: { readonly blocked: NameSet; readonly allowed: NameSet; readonly lists: readonly string[] }) {
    this.#blocked = blocked
    this.#allowed = allowed
    this.#lists = lists
  }

  /** Names in its lists, each counted once. */
  get size(): number {
    return this.#blocked.size
  }

  get bytes(): number {
    return this.#blocked.bytes + this.#allowed.bytes
  }

  /** `host`: a name, or an address in its canonical form without brackets. Null: no list blocks it. */
  match(host: string): BlockedBy | null {
    const found = this.#blocked.find(host)
    if (found === null || this.#allowed.find(host) !== null) return null
    const { source, at } = found
    return { list: this.#lists[source]!, rule: at === 0 ? host : `*.${host.slice(at)}` }
  }
}

export interface BlockedBy {
  /** Its name. */
  readonly list: string
  /** The name that it has, or `*.` and the name that the host is under. */
  readonly rule: string
}

/** Rejects with the name of a file that cannot be read. `pause` is awaited between two steps. */
export async function readBlocklist(plan: BlocklistPlan, pause: () => Promise<void>): Promise<Blocklist> {
  const blocked = new NameSetBuilder()
  const allowed = new NameSetBuilder()
  const lists = [plan.name, ...plan.files.map(({ name }) => name)]
  for (const host of plan.hosts) addHost(blocked, host)
  for (const host of plan.allow) addHost(allowed, host)
  for (const [i, { file, fetched }] of plan.files.entries()) {
    if (fetched !== null && !existsSync(file)) continue
    const reader = new ListReader((bytes, from, to, { kinds, isException }) =>
      (isException ? allowed : blocked).add(bytes, from, to, { kinds, source: i + 1 }),
    )
    await readList(file, reader, pause)
  }
  const steps = blocked.build()
  for (;;) {
    const { done, value } = steps.next()
    if (done === true) return new Blocklist({ blocked: value, allowed: buildNow(allowed), lists })
    await pause()
  }
}

const PIECE_BYTES = 65_536

async function readList(file: string, reader: ListReader, pause: () => Promise<void>): Promise<void> {
  let handle: FileHandle | null = null
  try {
    handle = await open(file)
    const piece = Buffer.allocUnsafe(PIECE_BYTES)
    for (;;) {
      const { bytesRead } = await handle.read(piece, 0, PIECE_BYTES, null)
      if (bytesRead === 0) break
      reader.push(piece.subarray(0, bytesRead))
      await pause()
    }
    reader.end()
  } catch (error) {
    throw new Error(whyUnreadable(file, error))
  } finally {
    await handle?.close()
  }
}

/** What a list says, without a table of it, in steps: for who has others to serve meanwhile. Rejects with a sentence. */
export async function scanInSteps(file: string, pause: () => Promise<void>): Promise<ListReader> {
  const reader = new ListReader(() => {})
  await readList(file, reader, pause)
  return reader
}

/** The same at once, for whoever only looks whether it is right. Throws as reading files does. */
export function scanList(file: string): ListReader {
  const reader = new ListReader(() => {})
  const descriptor = openSync(file, 'r')
  try {
    const piece = Buffer.allocUnsafe(PIECE_BYTES)
    const read = (): number => readSync(descriptor, piece, 0, PIECE_BYTES, null)
    for (let length = read(); length > 0; length = read()) reader.push(piece.subarray(0, length))
  } finally {
    closeSync(descriptor)
  }
  reader.end()
  return reader
}

export function whyUnreadable(file: string, error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
  return code === 'ENOENT' ? `there is no file ${file}` : `the list ${file} cannot be read: ${code}`
}

/** As a config writes it: `example.com` itself, `*.example.com` what is under it, `||example.com^` both. */
function addHost(builder: NameSetBuilder, written: string): void {
  const rule = /^\|\|(.+?)\^?$/.exec(written)
  const name = rule?.[1] ?? (written.startsWith('*.') ? written.slice(2) : written)
  const kinds = rule !== null ? SELF | BELOW : written.startsWith('*.') ? BELOW : SELF
  const bytes = Buffer.from(name, 'latin1')
  builder.add(bytes, 0, bytes.length, { kinds, source: 0 })
}
