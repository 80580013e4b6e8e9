/**
 * Fetches one block list by HTTP: only if it is another one, within a minute and a size, and puts it where it is kept in one step, when all of it has
 * come and is a list. What is known of it is beside it.
 */
import { createWriteStream, mkdirSync, openSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { dirname } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { scanInSteps } from '../blocking/blocklist.ts'
import { type Guard, makeGuard } from '../forward/guard.ts'
import { OwnAddresses } from '../forward/own-addresses.ts'
import type { FetchedListPlan } from '../plan/forward-plan.ts'
import { type GetOptions, getUrl } from './get-url.ts'
import type { Fetched } from './list-keeper.ts'

export interface FetchOptions {
  /** Of the list, decoded. */
  readonly bytes: number
  readonly ms: number
  /** Asked about places that its server leads to. */
  readonly guard: Guard
  /** Awaited between two pieces of a list that is looked through. */
  readonly pause: () => Promise<void>
}

const own = new OwnAddresses()
const DEFAULTS: FetchOptions = {
  ...{ bytes: 64 * 1024 ** 2, ms: 60_000 },
  guard: makeGuard({ opened: null, isOwn: (address) => own.has(address), listens: () => false }),
  pause: () => new Promise((resolve) => setImmediate(resolve)),
}

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
export async function fetchList({ url, file }: FetchedListPlan, now: () => number, some: Partial<FetchOptions> = {}): Promise<Fetched> {
  const options = { ...DEFAULTS, ...some }
  const signal = AbortSignal.timeout(options.ms)
  const known = readKnown(file, url)
  const response = await ask(url, known, { ...options, signal }).catch((error: unknown) => {
    throw told(error, signal, options.ms)
  })
  const { statusCode: status, headers } = response
  if (status === 304 && known !== null) {
    response.destroy()
    writeKnown(file, { ...known, at: now() })
    return { isNew: false, names: known.names }
  }
  const wrong = whatIsWrong(response)
  if (wrong !== null) {
    response.destroy()
    throw new Error(wrong)
  }
  const whole = `${file}.new`
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  try {
    await receive(response, whole, options.bytes).catch((error: unknown) => {
      throw told(error, signal, options.ms)
    })
    const { names } = await scanInSteps(whole, options.pause)
    if (names === 0) throw new Error('there is no name in it')
    renameSync(whole, file)
    writeKnown(file, { url, etag: headers.etag ?? null, modified: headers['last-modified'] ?? null, at: now(), names })
    return { isNew: true, names }
  } finally {
    rmSync(whole, { force: true })
  }
}

/** When it was last asked for with success; null: it is not there, or of another URL. */
export function fetchedAt({ url, file }: FetchedListPlan): number | null {
  return readKnown(file, url)?.at ?? null
}

function ask(url: string, known: Known | null, options: Pick<GetOptions, 'guard' | 'signal'>): Promise<IncomingMessage> {
  const headers = {
    'User-Agent': 'sluice',
    'Accept-Encoding': 'gzip',
    ...(known?.etag == null ? {} : { 'If-None-Match': known.etag }),
    ...(known?.modified == null ? {} : { 'If-Modified-Since': known.modified }),
  }
  return getUrl(url, { ...options, headers })
}

function whatIsWrong({ statusCode, headers }: IncomingMessage): string | null {
  if (statusCode !== 200) return `the server answered ${statusCode}`
  if (headers['content-type']?.startsWith('text/html') === true) return 'it is a page, no list'
  const coding = codingOf(headers)
  return coding === 'identity' || coding === 'gzip' ? null : `it is coded as ${coding}, which was not asked for`
}

function codingOf(headers: IncomingMessage['headers']): string {
  const coding = headers['content-encoding']?.trim().toLowerCase() ?? ''
  return coding === '' ? 'identity' : coding.replace(/^x-/, '')
}

/** `most`: bytes of it, decoded. The file is there from the first moment, so that one who takes it away afterwards is not overtaken by its opening. */
async function receive(response: IncomingMessage, file: string, most: number): Promise<void> {
  const into = createWriteStream(file, { fd: openSync(file, 'w', 0o600) })
  if (codingOf(response.headers) === 'gzip') await pipeline(response, createGunzip(), bounded(most), into)
  else await pipeline(response, bounded(most), into)
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

function told(error: unknown, { aborted }: AbortSignal, ms: number): Error {
  if (aborted) return new Error(`it has not come within ${ms / 1000} s`)
  if (!(error instanceof Error)) return new Error(String(error))
  const code = 'code' in error ? String(error.code) : ''
  return new Error(code === '' || error.message.includes(code) ? error.message : `${error.message} (${code})`)
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
