/**
 * The access log's formats: one line for each ended exchange or tunnel, built by hand because this runs once a request. A line is
 * ASCII, never longer than a pipe keeps whole, and whatever a client sent cannot break out of it.
 */
import type { EndedExchange } from '../events.ts'
import type { ClientCertificate } from '../net/client-certificate.ts'
import { chosenFacts, lineWithout, moreMembers } from './chosen-line.ts'
import { maxLineBytes } from './line-sink.ts'

const LOGGED_NAMES = 5

export type AccessFormat = 'json' | 'combined' | 'pretty'

/** Returns the line with its LF. */
export type FormatLine = (exchange: EndedExchange) => string

export function formatter(format: AccessFormat, options: { readonly color: boolean }): FormatLine {
  switch (format) {
    case 'json':
      return jsonFormatter()
    case 'combined':
      return (exchange) => combinedLine(chosenFacts(exchange))
    case 'pretty':
      return (exchange) => prettyLine(chosenFacts(exchange), options.color)
  }
}

/** Remembers what the exchange before had in common with this one: most of a line. */
function jsonFormatter(): FormatLine {
  const placeOf = placeQuoter()
  let userAgent: string | null = null
  let host: string | null = null
  let ip = ''
  let method = ''
  let protocol = ''
  let client = ''

  const line: FormatLine = (x) => {
    if (x.userAgent !== userAgent || x.host !== host || x.ip !== ip || x.method !== method || x.protocol !== protocol) {
      userAgent = x.userAgent
      host = x.host
      ip = x.ip
      method = x.method
      protocol = x.protocol
      client = quoteClient(x)
    }
    // Few pieces, for each costs more than the bytes in it.
    const start = isoTime(x.startedAt)
    const upstream = x.upstreamMs >= 0 ? upstreamDuration(x.upstreamMs) : ''
    const received = x.bytesIn === 0 ? ',"in":0,"out":' : `,"in":${x.bytesIn},"out":`
    const end = isPlain(x) ? '"}\n' : `"${extras(x)}}\n`
    return `{"time":"${start}","id":"${escaped(x.id)}${placeOf(x)}${duration(x.durationMs)}${upstream}${received}${x.bytesOut}${statusText(x.status)}${client}${escaped(x.path)}${escaped(x.search)}${end}`
  }
  return (x) => {
    const whole = line(x)
    const fitting = whole.length <= maxLineBytes ? whole : fit(x, line)
    return x.logged === null || x.logged.without.size === 0 ? fitting : lineWithout(fitting, x.logged.without)
  }
}

/** Nothing beyond what every exchange has. */
function isPlain(x: EndedExchange): boolean {
  return (
    x.reason === null &&
    x.decidedBy === null &&
    x.referer === null &&
    x.attempts <= 1 &&
    x.moved === null &&
    !x.tunnel &&
    x.peer === x.ip &&
    x.user === null &&
    x.cache === null &&
    x.clientCertificate === null &&
    x.logged === null
  )
}

function extras(x: EndedExchange): string {
  let text = ''
  if (x.reason !== null) text += `,"reason":"${x.reason}"`
  if (x.detail !== null) text += `,"detail":"${escaped(x.detail)}"`
  if (x.decidedBy !== null) text += `,"decidedBy":"${escaped(x.decidedBy)}"`
  if (x.attempts > 1) text += `,"attempts":${x.attempts}`
  if (x.moved !== null) text += `,"moved":"${x.moved}"`
  if (x.tunnel) text += ',"tunnel":true'
  if (x.peer !== x.ip) text += `,"peer":"${escaped(x.peer)}"`
  if (x.cache !== null) text += `,"cache":"${x.cache}"`
  if (x.user !== null) text += `,"user":"${escaped(x.user)}"`
  if (x.referer !== null) text += `,"referer":"${escaped(x.referer)}"`
  if (x.clientCertificate !== null) text += certificateText(x.clientCertificate)
  if (x.logged !== null && x.logged.more !== null) text += moreMembers(x.logged.more)
  return text
}

/** Made once a certificate: all requests of a connection have the same. Some names will do. */
const certificateTexts = new WeakMap<ClientCertificate, string>()

function certificateText(certificate: ClientCertificate): string {
  const known = certificateTexts.get(certificate)
  if (known !== undefined) return known
  const { subject, issuer, serial, names, fingerprint, verified } = certificate
  const quoted = (text: string): string => `"${escaped(text)}"`
  const some = names.slice(0, LOGGED_NAMES).map((name) => quoted(name.slice(0, 100)))
  const texts = `"subject":${quoted(subject)},"issuer":${quoted(issuer)},"serial":${quoted(serial)},"names":[${some.join()}]`
  const made = flat(`,"clientCertificate":{${texts},"fingerprint":${quoted(fingerprint)},"verified":${verified}}`)
  certificateTexts.set(certificate, made)
  return made
}

export interface RefusedHandshake {
  readonly listener: string
  readonly why: string
  readonly detail: string | null
  readonly address: string
}

/** The line of a connection that was refused before it could ask for anything: JSON in every format. */
export function handshakeLine({ listener, why, detail, address }: RefusedHandshake): string {
  const more = detail === null ? '' : `,"detail":"${escaped(detail.slice(0, 200))}"`
  return `{"time":"${isoTime(Date.now())}","listener":"${escaped(listener)}","ip":"${escaped(address)}","reason":"handshake_${why}"${more}}\n`
}

/** From the end of the status to where the path begins. */
function quoteClient({ protocol, method, ip, host, userAgent }: EndedExchange): string {
  const agent = userAgent === null ? '' : `"userAgent":"${escaped(userAgent)}",`
  return flat(`,"protocol":"${protocol}","ip":"${escaped(ip)}",${agent}"method":"${escaped(method)}","host":"${escaped(host)}","path":"`)
}

/** Listener, route, upstream and endpoint are names of the config: they are quoted once. From the end of the id. */
function placeQuoter(): FormatLine {
  const routes = new Map<string, Map<string | null, string>>()
  return (x) => {
    const route = x.route ?? x.listener
    let places = routes.get(route)
    if (places === undefined) {
      if (routes.size >= 10_000) routes.clear()
      places = new Map()
      routes.set(route, places)
    }
    let place = places.get(x.endpoint)
    if (place === undefined) {
      if (places.size >= 1_000) places.clear()
      place = quotePlace(x)
      places.set(x.endpoint, place)
    }
    return place
  }
}

function quotePlace(x: EndedExchange): string {
  let text = `","listener":"${escaped(x.listener)}"`
  if (x.route !== null) text += `,"route":"${escaped(x.route)}"`
  if (x.upstream !== null) text += `,"upstream":"${escaped(x.upstream)}"`
  if (x.endpoint !== null) text += `,"endpoint":"${escaped(x.endpoint)}"`
  return flat(text)
}

/** The line of an exchange whose long values are cut, each so far that the line stays whole on a pipe. */
function fit(x: EndedExchange, line: FormatLine): string {
  let text = ''
  for (const keep of [1000, 250, 40]) {
    text = line(shortened(x, keep))
    if (text.length <= maxLineBytes) return text
  }
  return text
}

function shortened(x: EndedExchange, keep: number): EndedExchange {
  const cut = (text: string): string => (text.length > keep ? `${text.slice(0, keep)}...` : text)
  const cutOrNull = (text: string | null): string | null => (text === null ? null : cut(text))
  return {
    ...{ listener: x.listener, route: x.route, upstream: x.upstream, endpoint: x.endpoint, protocol: x.protocol, reason: x.reason },
    destination: x.destination,
    ...{ status: x.status, bytesIn: x.bytesIn, bytesOut: x.bytesOut, attempts: x.attempts, tunnel: x.tunnel, decidedBy: x.decidedBy },
    ...{ startedAt: x.startedAt, durationMs: x.durationMs, upstreamMs: x.upstreamMs },
    clientCertificate: x.clientCertificate,
    logged: x.logged,
    user: cutOrNull(x.user),
    moved: x.moved,
    cache: x.cache,
    ...{ serial: x.serial, generation: x.generation, scheme: x.scheme, received: x.received, logHooks: null },
    ...{
      id: cut(x.id),
      method: cut(x.method),
      host: cut(x.host),
      path: cut(x.path),
      search: cut(x.search),
      ip: cut(x.ip),
      peer: cut(x.peer),
    },
    ...{ userAgent: cutOrNull(x.userAgent), referer: cutOrNull(x.referer), detail: cutOrNull(x.detail) },
  }
}

/** The format of Apache and nginx; lengths are capped so that a line stays whole on a pipe. */
function combinedLine(x: EndedExchange): string {
  const field = (text: string | null, keep: number): string => (text === null || text === '' ? '-' : escaped(text.slice(0, keep)))
  const request = `${field(x.method, 30)} ${field(x.path + x.search, 250)} ${x.protocol}`
  return `${field(x.ip, 60)} - ${field(x.user, 60).replaceAll(' ', '+')} [${commonTime(x.startedAt)}] "${request}" ${x.status} ${x.bytesOut} "${field(x.referer, 120)}" "${field(x.userAgent, 120)}"\n`
}

export function painter(color: boolean): (code: number, text: string) => string {
  return (code, text) => (color ? `\x1b[${code}m${text}\x1b[0m` : text)
}

function prettyLine(x: EndedExchange, color: boolean): string {
  const paint = painter(color)
  const status = paint(
    x.status >= 500 || x.status === 0 ? 31 : x.status >= 400 ? 33 : x.status >= 300 ? 36 : 32,
    x.status === 0 ? '---' : String(x.status),
  )
  const target = escaped(x.host.slice(0, 80) + x.path.slice(0, 200) + x.search.slice(0, 100))
  const to = x.endpoint === null ? '' : paint(2, ` > ${escaped(x.endpoint)}`)
  const by = x.decidedBy === null ? '' : paint(35, ` ${escaped(x.decidedBy)}`)
  const reason = x.reason === null ? '' : paint(31, ` ${x.reason}${x.detail === null ? '' : `: ${escaped(x.detail.slice(0, 200))}`}`)
  // What `sluice explain` takes.
  const id = paint(2, `  ${escaped(x.id.slice(0, 40))}`)
  return `${paint(2, clockTime(x.startedAt))} ${status} ${escaped(x.method.slice(0, 20)).padEnd(4)} ${target} ${paint(2, `${tenths(x.durationMs)}ms`)}${to}${by}${reason}${id}\n`
}

/** What is not printable ASCII, or ends a JSON string. */
const unsafe = /[^\x20\x21\x23-\x5b\x5d-\x7e]/
const everyUnsafe = /[^\x20\x21\x23-\x5b\x5d-\x7e]/g

/** For the inside of a JSON string; also where no JSON is: no control byte and no quote is left in it. */
export function escaped(text: string): string {
  return unsafe.test(text) ? text.replace(everyUnsafe, escapeOne) : text
}

function escapeOne(char: string): string {
  return char === '"' || char === '\\' ? `\\${char}` : `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
}

/** A copy in one piece that keeps no request's text alive. */
function flat(ascii: string): string {
  return Buffer.from(ascii, 'latin1').latin1Slice()
}

const shortTimes = Array.from({ length: 1000 }, (_, tenth) => `${Math.floor(tenth / 10)}.${tenth % 10}`)

const durations: string[] = []
const upstreamDurations: string[] = []
const statuses: string[] = []

function duration(ms: number): string {
  const tenth = Math.round(ms * 10)
  return durations[tenth] ?? remember(durations, tenth, `,"ms":${tenths(ms)}`)
}

function upstreamDuration(ms: number): string {
  const tenth = Math.round(ms * 10)
  return upstreamDurations[tenth] ?? remember(upstreamDurations, tenth, `,"upstreamMs":${tenths(ms)}`)
}

function statusText(status: number): string {
  return statuses[status] ?? remember(statuses, status, `,"status":${status}`)
}

function remember(known: string[], index: number, text: string): string {
  if (index >= 0 && index < 1_000) known[index] = flat(text)
  return text
}

export function tenths(ms: number): string {
  const tenth = Math.round(ms * 10)
  return shortTimes[tenth] ?? (tenth / 10).toFixed(1)
}

const thousandths = Array.from({ length: 1000 }, (_, ms) => `.${String(ms).padStart(3, '0')}Z`)
let isoSecond = Number.NaN
let isoText = ''

export function isoTime(ms: number): string {
  const second = Math.floor(ms / 1000)
  if (second !== isoSecond) {
    isoSecond = second
    isoText = new Date(second * 1000).toISOString().slice(0, 19)
  }
  return isoText + thousandths[Math.floor(ms) - second * 1000]
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** `10/Oct/2026:13:55:36 +0000`. */
export function commonTime(ms: number): string {
  const iso = isoTime(ms)
  return `${iso.slice(8, 10)}/${months[Number(iso.slice(5, 7)) - 1]}/${iso.slice(0, 4)}:${iso.slice(11, 19)} +0000`
}

/** The time of day where the reader is. */
export function clockTime(ms: number): string {
  return new Date(ms).toTimeString().slice(0, 8)
}
