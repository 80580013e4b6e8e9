/**
 * `Sec-WebSocket-Extensions` (RFC 6455 §9.1, RFC 7692 §7.1): which offers of a client we can read the messages of, and what an
 * endpoint made of them. Anything but permessage-deflate with parameters of the RFC is not ours to read.
 */
import { trimmed } from '../trim.ts'

/** One direction of permessage-deflate. */
export interface DeflateSide {
  /** Of the sender's window, 8 to 15. */
  readonly windowBits: number
  /** A message may refer to those before it. */
  readonly takesOver: boolean
}

export interface DeflateAgreement {
  /** What the client compresses. */
  readonly client: DeflateSide
  /** What the endpoint compresses. */
  readonly upstream: DeflateSide
}

interface Extension {
  readonly name: string
  /** Null: a parameter without a value. */
  readonly parameters: ReadonlyMap<string, string | null>
}

/** The offers that can be read, as a field value; null: none. */
export function readableOffers(value: string | null): string | null {
  const offers = (value === null ? null : parse(value))?.filter((one) => agreement(one, 'offer') !== null) ?? []
  return offers.length === 0 ? null : offers.map(textOf).join(', ')
}

/** What the endpoint answered to these offers: null is no extension, `unreadable` one that was not offered or cannot be read. */
export function readAnswer(answer: string | null, offers: string | null): DeflateAgreement | null | 'unreadable' {
  if (answer === null) return null
  const [one, ...more] = parse(answer) ?? []
  if (one === undefined || more.length > 0 || offers === null) return 'unreadable'
  return agreement(one, 'answer') ?? 'unreadable'
}

function agreement({ name, parameters }: Extension, as: 'offer' | 'answer'): DeflateAgreement | null {
  if (name !== 'permessage-deflate') return null
  let [client, upstream]: [DeflateSide, DeflateSide] = [FULL, FULL]
  for (const [parameter, value] of parameters) {
    // RFC 7692 §7.1.2.2: in an offer it may say only that the parameter is understood.
    const bits = value === null && as === 'offer' && parameter === 'client_max_window_bits' ? 15 : windowBits(value)
    if (parameter === 'client_no_context_takeover' && value === null) client = { ...client, takesOver: false }
    else if (parameter === 'server_no_context_takeover' && value === null) upstream = { ...upstream, takesOver: false }
    else if (parameter === 'client_max_window_bits' && bits !== null) client = { ...client, windowBits: bits }
    else if (parameter === 'server_max_window_bits' && bits !== null) upstream = { ...upstream, windowBits: bits }
    else return null
  }
  return { client, upstream }
}

const FULL: DeflateSide = { windowBits: 15, takesOver: true }

function windowBits(value: string | null): number | null {
  return value !== null && /^(?:[89]|1[0-5])$/.test(value) ? Number(value) : null
}

const TOKEN = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+"
const SEPARATOR = /[ \t]*,[ \t,]*/y
const NAME = new RegExp(TOKEN, 'y')
const PARAMETER = new RegExp(`[ \\t]*;[ \\t]*(${TOKEN})(?:[ \\t]*=[ \\t]*(?:(${TOKEN})|"((?:[^"\\\\]|\\\\.)*)"))?`, 'y')

/** Null: it is malformed, or a parameter is there twice. */
function parse(text: string): Extension[] | null {
  const found: Extension[] = []
  const value = trimmed(text, ' \t,')
  for (let at = 0; at < value.length; ) {
    if (found.length > 0) {
      const separator = matchAt(SEPARATOR, value, at)
      if (separator === null) return null
      at += separator[0].length
    }
    const name = matchAt(NAME, value, at)
    if (name === null) return null
    at += name[0].length
    const parameters = new Map<string, string | null>()
    for (let one = matchAt(PARAMETER, value, at); one !== null; one = matchAt(PARAMETER, value, at)) {
      if (parameters.has(one[1]!)) return null
      parameters.set(one[1]!, one[2] ?? one[3]?.replace(/\\(.)/g, '$1') ?? null)
      at += one[0].length
    }
    found.push({ name: name[0], parameters })
  }
  return found
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at
  return pattern.exec(text)
}

/** Of what can be read: no value needs quotes. */
function textOf({ name, parameters }: Extension): string {
  return [name, ...[...parameters].map(([key, value]) => (value === null ? key : `${key}=${value}`))].join('; ')
}
