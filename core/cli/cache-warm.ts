/** `sluice cache warm`: asks a proxy for a list of URLs, so that its caches have them before clients come. Says how far it is, and what went wrong. */
import { createReadStream } from 'node:fs'
import * as http from 'node:http'
import * as https from 'node:https'
import { createInterface } from 'node:readline'
import { exitCodes } from './exit-codes.ts'

export interface WarmOptions {
  /** URLs, files with one a line, `-` for standard input. */
  readonly sources: readonly string[]
  readonly concurrency: number
  /** Where to connect to, whatever the host of a URL; null: to that host. */
  readonly to: { readonly host: string; readonly port: number } | null
  /** For the certificate of a URL's host: any will do. */
  readonly insecure: boolean
  readonly acceptEncoding: string | null
  readonly timeoutMs: number
  readonly json: boolean
}

export interface Warmed {
  readonly asked: number
  /** What of them the caches have by now, and which they had before. */
  readonly stored: number
  readonly hits: number
  /** Answered, and not kept. */
  readonly passed: number
  readonly errors: number
  readonly bytes: number
  /** The first of them. */
  readonly problems: readonly string[]
}

const MOST_PROBLEMS = 20
const MOST_URLS = 1_000_000
const PROGRESS_MS = 200

export async function runCacheWarm(options: WarmOptions): Promise<number> {
  let urls: readonly URL[]
  try {
    urls = await readSources(options.sources, process.stdin)
  } catch (error) {
    process.stderr.write(`sluice: ${error instanceof Error ? error.message : String(error)}\n`)
    return exitCodes.failed
  }
  const isShown = process.stderr.isTTY
  const warming = new Warming(urls, options)
  const progress = isShown
    ? setInterval(() => process.stderr.write(`\r${progressLine(warming.warmed, urls.length)}`), PROGRESS_MS)
    : undefined
  const warmed = await warming.run()
  clearInterval(progress)
  if (isShown) process.stderr.write(`\r${progressLine(warmed, urls.length)}\n`)
  process.stdout.write(options.json ? `${JSON.stringify(warmed)}\n` : formatWarmed(warmed))
  for (const problem of warmed.problems) process.stderr.write(`sluice: ${problem}\n`)
  if (warmed.errors > warmed.problems.length) process.stderr.write(`sluice: and ${warmed.errors - warmed.problems.length} more\n`)
  return warmed.errors === 0 ? exitCodes.ok : exitCodes.failed
}

/** Rejects with a sentence. */
export async function readSources(sources: readonly string[], standardInput: NodeJS.ReadableStream): Promise<readonly URL[]> {
  const urls: URL[] = []
  for (const source of sources) {
    if (/^https?:\/\//i.test(source)) urls.push(readWarmUrl(source, 'the command line'))
    else await readList(source, source === '-' ? standardInput : createReadStream(source), urls)
    if (urls.length > MOST_URLS) throw new Error(`more than ${MOST_URLS} URLs: warm them a part at a time`)
  }
  return urls
}

async function readList(name: string, stream: NodeJS.ReadableStream, urls: URL[]): Promise<void> {
  let number = 0
  for await (const line of createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })) {
    number++
    const text = line.trim()
    if (text === '' || text.startsWith('#')) continue
    urls.push(readWarmUrl(text, `${name}:${number}`))
    if (urls.length > MOST_URLS) return
  }
}

function readWarmUrl(text: string, place: string): URL {
  const url = URL.parse(text)
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) throw new Error(`${place}: ${text} is no http or https URL`)
  return url
}

export class Warming {
  readonly #urls: readonly URL[]
  readonly #options: WarmOptions
  readonly #agents: Readonly<Record<string, http.Agent>>
  readonly #warmed = { asked: 0, stored: 0, hits: 0, passed: 0, errors: 0, bytes: 0, problems: [] as string[] }
  #next = 0

  constructor(urls: readonly URL[], options: WarmOptions) {
    this.#urls = urls
    this.#options = options
    const agent = { keepAlive: true, maxSockets: options.concurrency }
    this.#agents = { 'http:': new http.Agent(agent), 'https:': new https.Agent(agent) }
  }

  get warmed(): Warmed {
    return this.#warmed
  }

  async run(): Promise<Warmed> {
    await Promise.all(Array.from({ length: this.#options.concurrency }, () => this.#work()))
    for (const agent of Object.values(this.#agents)) agent.destroy()
    return this.#warmed
  }

  async #work(): Promise<void> {
    while (this.#next < this.#urls.length) {
      const url = this.#urls[this.#next++]!
      const problem = await this.#ask(url)
      this.#warmed.asked++
      if (problem === null) continue
      this.#warmed.errors++
      if (this.#warmed.problems.length < MOST_PROBLEMS) this.#warmed.problems.push(`${url.href}: ${problem}`)
    }
  }

  /** Resolves with what is wrong with it, or null. */
  #ask(url: URL): Promise<string | null> {
    const { to, insecure, acceptEncoding, timeoutMs } = this.#options
    const { promise, resolve } = Promise.withResolvers<string | null>()
    const isSecure = url.protocol === 'https:'
    const name = url.hostname.replace(/^\[|\]$/g, '')
    const request = (isSecure ? https : http).request({
      ...{ host: to?.host ?? name, port: to?.port ?? (url.port === '' ? (isSecure ? 443 : 80) : Number(url.port)) },
      ...{ path: url.pathname + url.search, agent: this.#agents[url.protocol]!, signal: AbortSignal.timeout(timeoutMs) },
      ...(isSecure ? { servername: name, rejectUnauthorized: !insecure } : {}),
      headers: { host: url.host, 'user-agent': 'sluice-warm', ...(acceptEncoding === null ? {} : { 'accept-encoding': acceptEncoding }) },
    })
    request.on('response', (response) => {
      response.on('data', (bytes: Buffer) => {
        this.#warmed.bytes += bytes.length
      })
      response.on('error', (error) => resolve(error.message))
      response.on('end', () => resolve(this.#judge(response)))
    })
    request.on('error', (error) =>
      resolve(error.name === 'TimeoutError' || error.name === 'AbortError' ? `no whole answer within ${timeoutMs} ms` : error.message),
    )
    request.end()
    return promise
  }

  #judge({ statusCode = 0, headers, complete }: http.IncomingMessage): string | null {
    if (!complete) return 'its answer broke off'
    if (statusCode >= 400) return `answered with ${statusCode}`
    const status = String(headers['cache-status'] ?? '')
    if (/;\s*hit\b/.test(status)) this.#warmed.hits++
    else if (/;\s*(?:stored|collapsed)\b/.test(status)) this.#warmed.stored++
    else this.#warmed.passed++
    return null
  }
}

const BAR = 24

export function progressLine({ asked, errors }: Pick<Warmed, 'asked' | 'errors'>, all: number): string {
  const done = all === 0 ? BAR : Math.floor((asked / all) * BAR)
  const percent = all === 0 ? 100 : Math.floor((asked / all) * 100)
  return `[${'#'.repeat(done)}${'.'.repeat(BAR - done)}] ${percent}% ${asked}/${all}, ${errors} ${errors === 1 ? 'error' : 'errors'}`
}

export function formatWarmed({ asked, stored, hits, passed, errors }: Warmed): string {
  return `${asked} asked for: ${stored} kept now, ${hits} kept before, ${passed} not kept, ${errors} failed\n`
}
