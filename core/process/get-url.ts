/**
 * One GET of the supervisor's own. Who answers may lead on to other places of HTTP, but never from TLS to plain text, and never to an address of this machine,
 * its links or its cloud: a place may be that only if the config names it itself. The address that is judged is the one that is connected to.
 */
import { type LookupAllOptions, lookup } from 'node:dns'
import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import type { Guard } from '../forward/guard.ts'

export interface GetOptions {
  readonly headers: Readonly<Record<string, string>>
  /** Ends it, the body too. */
  readonly signal: AbortSignal
  /** Asked about places that are led to. */
  readonly guard: Guard
}

const MOST_PLACES = 10
const REDIRECTS = new Set([301, 302, 303, 307, 308])

/** Rejects with a sentence. What comes is not read yet. */
export async function getUrl(written: string, options: GetOptions): Promise<IncomingMessage> {
  const first = new URL(written)
  let url = first
  for (let places = 1; places <= MOST_PLACES; places++) {
    const response = await ask(url, url.host === first.host ? null : options.guard, options)
    const { statusCode = 0, headers } = response
    if (!REDIRECTS.has(statusCode) || headers.location === undefined) return response
    response.destroy()
    url = nextUrl(headers.location, url)
  }
  throw new Error(`it leads from place to place, more than ${MOST_PLACES}`)
}

function nextUrl(location: string, from: URL): URL {
  const url = URL.parse(location, from)
  if (url === null || !/^https?:$/.test(url.protocol)) throw new Error('it leads to what is no place of HTTP')
  if (from.protocol === 'https:' && url.protocol === 'http:') throw new Error('it leads to a place without TLS')
  if (url.username !== '' || url.password !== '') throw new Error('it leads to a place with a password in it')
  return url
}

/** `guard`: null, the place is the config's own. */
function ask(url: URL, guard: Guard | null, { headers, signal }: GetOptions): Promise<IncomingMessage> {
  const isSecure = url.protocol === 'https:'
  const port = Number(url.port) || (isSecure ? 443 : 80)
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const refused = guard === null || isIP(host) === 0 ? null : guard(host, port)
  if (refused !== null) return Promise.reject(new Error(ledAstray(refused)))
  return new Promise((resolve, reject) => {
    const own = guard === null ? {} : { lookup: guardedLookup(guard, port) }
    const request = (isSecure ? https : http).request(url, { headers, signal, agent: false, ...own })
    request.on('response', resolve).on('error', reject).end()
  })
}

function guardedLookup(guard: Guard, port: number): LookupFunction {
  return (host, options, done) => {
    const all: LookupAllOptions = { ...options, all: true }
    lookup(host, all, (error, addresses) => {
      if (error !== null) return done(error, '', 0)
      const admitted = addresses.filter(({ address }) => guard(address, port) === null)
      const [first] = admitted
      if (first === undefined) return done(new Error(ledAstray(guard(addresses[0]!.address, port)!)), '', 0)
      if (options.all === true) done(null, admitted)
      else done(null, first.address, first.family)
    })
  }
}

function ledAstray(what: string): string {
  return `it leads to a place that lists are not fetched from: ${what}; if that is meant, write its URL`
}
