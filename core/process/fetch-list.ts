/**
 * Fetches one block list by HTTP: only if it is another one, within a minute and a size, and puts it where it is kept in one step, when all of it has
 * come and is a list. What is known of it is beside it.
 */
import { createWriteStream, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { scanList } from '../blocking/blocklist.ts'
import type { FetchedListPlan } from '../plan/forward-plan.ts'
import type { Fetched } from './list-keeper.ts'

export interface FetchLimits {
  readonly bytes: number
  readonly ms: number
}

const LIMITS: FetchLimits = { bytes: 64 * 1024 ** 2, ms: 60_000 }

/** Beside the list. */
interface Known {
  readonly url: string
  readonly etag: string | null
  readonly modified: string | null
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly names: number
}

/** Rejects with a sentence; then what was there is untouched. */
export async function fetchList({ url, file }: FetchedListPlan, now: () => number, limits: FetchLimits = LIMITS): Promise<Fetched> {
  const known = readKnown(file, url)
  const response = await ask(url, known, limits)
  const { status, headers } = response
  if (url.startsWith('https:') && response.redirected && !response.url.startsWith('https:')) {
    await response.body?.cancel()
    throw new Error('it leads to a place without TLS')
  }
  if (status === 304 && known !== null) {
    await response.body?.cancel()
    writeKnown(file, { ...known, at: now() })
    return { isNew: false, names: known.names }
  }
  if (status !== 200 || response.body === null) {
    await response.body?.cancel()
    throw new Error(`the server answered ${status}`)
  }
  if (headers.get('content-type')?.startsWith('text/html') === true) {
    await response.body.cancel()
    throw new Error('it is a page, no list')
  }
  const whole = `${file}.new`
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  try {
    await pipeline(Readable.fromWeb(response.body), bounded(limits.bytes), createWriteStream(whole, { mode: 0o600 })).catch(
      (error: unknown) => {
        throw told(error, limits)
      },
    )
    const { names } = scanList(whole)
    if (names === 0) throw new Error('there is no name in it')
    renameSync(whole, file)
    writeKnown(file, { url, etag: headers.get('etag'), modified: headers.get('last-modified'), at: now(), names })
    return { isNew: true, names }
  } finally {
    rmSync(whole, { force: true })
  }
}

/** When it was last asked for with success; null: it is not there, or of another URL. */
export function fetchedAt({ url, file }: FetchedListPlan): number | null {
  return readKnown(file, url)?.at ?? null
}

async function ask(url: string, known: Known | null, limits: FetchLimits): Promise<Response> {
  const headers = {
    'User-Agent': 'sluice',
    ...(known?.etag == null ? {} : { 'If-None-Match': known.etag }),
    ...(known?.modified == null ? {} : { 'If-Modified-Since': known.modified }),
  }
  try {
    return await fetch(url, { headers, signal: AbortSignal.timeout(limits.ms) })
  } catch (error) {
    throw told(error, limits)
  }
}

function bounded(most: number): (source: AsyncIterable<Uint8Array>) => AsyncGenerator<Uint8Array> {
  return async function* (source) {
    let bytes = 0
    for await (const piece of source) {
      bytes += piece.length
      if (bytes > most) throw new Error(`it has more than ${most / 1024 ** 2} MB`)
      yield piece
    }
  }
}

/** What `fetch` says is wrong is in the cause. */
function told(error: unknown, { ms }: FetchLimits): Error {
  if (!(error instanceof Error)) return new Error(String(error))
  if (error.name === 'TimeoutError') return new Error(`it has not come within ${ms / 1000} s`)
  const { cause } = error
  const code = cause instanceof Error && 'code' in cause ? ` (${String(cause.code)})` : ''
  return new Error(cause instanceof Error ? `${error.message}: ${cause.message || cause.name}${code}` : error.message)
}

function readKnown(file: string, url: string): Known | null {
  try {
    statSync(file)
    const known = JSON.parse(readFileSync(`${file}.json`, 'utf8')) as Known
    return known.url === url && Number.isFinite(known.at) && Number.isFinite(known.names) ? known : null
  } catch {
    return null
  }
}

function writeKnown(file: string, known: Known): void {
  writeFileSync(`${file}.json.new`, JSON.stringify(known), { mode: 0o600 })
  renameSync(`${file}.json.new`, `${file}.json`)
}
