/**
 * The flight recorder of a worker: what its last requests, tunnels and sessions were and how they ended, as numbers and text in one buffer of fixed size. A
 * new one takes the place of the oldest. It keeps no object alive and makes none; only a look back does.
 */
import type { ErrorCode } from '../errors.ts'
import type { EndedExchange, EndedTunnel } from '../events.ts'

/** What is known of what ended a while ago. Plain data. */
export type Recalled = RecalledExchange | RecalledTunnel

export interface RecalledExchange {
  readonly kind: 'exchange'
  readonly id: string
  /** When it began, milliseconds since the epoch. */
  readonly at: number
  readonly ms: number
  /** Null without an answer of an endpoint. */
  readonly upstreamMs: number | null
  readonly listener: string
  readonly route: string | null
  readonly upstream: string | null
  readonly endpoint: string | null
  readonly status: number
  readonly reason: ErrorCode | null
  readonly detail: string | null
  readonly decidedBy: string | null
  readonly attempts: number
  readonly tunnel: boolean
  readonly protocol: EndedExchange['protocol']
  readonly scheme: 'http' | 'https'
  readonly ip: string
  readonly peer: string
  readonly bytesIn: number
  readonly bytesOut: number
  /** Of the plan it ran on. */
  readonly generation: number
  /** As received, credentials and all; latin1. */
  readonly head: string
  /** The head was longer than what is kept of one. */
  readonly isCut: boolean
}

/** A connection to a TCP or SOCKS listener, or a session of UDP. */
export interface RecalledTunnel
  extends Pick<
      EndedTunnel,
      'listener' | 'route' | 'upstream' | 'endpoint' | 'protocol' | 'destination' | 'user' | 'sni' | 'ip' | 'attempts'
    >,
    Pick<EndedTunnel, 'reason' | 'detail' | 'decidedBy' | 'bytesIn' | 'bytesOut' | 'datagramsIn' | 'datagramsOut' | 'generation'> {
  readonly kind: 'tunnel'
  readonly id: string
  readonly at: number
  readonly ms: number
  /** Null without a connection to an endpoint. */
  readonly connectMs: number | null
}

/** What a record is made of. */
type Recorded = Pick<EndedExchange, 'id' | 'serial' | 'generation' | 'startedAt' | 'durationMs' | 'upstreamMs' | 'attempts' | 'status'> &
  Pick<EndedExchange, 'listener' | 'route' | 'upstream' | 'endpoint' | 'ip' | 'peer' | 'received' | 'protocol' | 'tunnel' | 'scheme'> &
  Pick<EndedExchange, 'reason' | 'detail' | 'decidedBy' | 'bytesIn' | 'bytesOut'>

const DEFAULT_BYTES = 1 << 20
/** Of a head: a few large ones are not to push out a thousand others. */
const MOST_HEAD = 4_096
const MOST_NOTES = 512
/** An address and its zone. */
const MOST_ADDRESS = 63
/** Distinct combinations of route and endpoint that are told apart at a time. */
const MOST_PLACES = 10_000

/** Words of 8 bytes in front of a record's text, in this order. */
const WORDS = {
  length: 0,
  serial: 1,
  at: 2,
  ms: 3,
  upstreamMs: 4,
  bytesIn: 5,
  bytesOut: 6,
  place: 7,
  generation: 8,
  kind: 9,
  sizes: 10,
} as const
const FIXED = 11
/** Stands for the length of a record where the rest of the buffer is left empty. */
const END = 0

/** Flags of a record beside the number of its protocol, which is less. */
const TUNNEL = 4
const HTTPS = 8
/** Not of HTTP. */
const OTHER = 16
/** Of each text that a client chose. A name has 255 octets, a user's too. */
const MOST_TEXT = 300

const PROTOCOLS = ['HTTP/1.0', 'HTTP/1.1', 'HTTP/2'] as const

export class FlightRecorder {
  readonly #words: Float64Array
  readonly #bytes: Buffer
  readonly #places = new Places()
  /** In words. */
  #next = 0
  #oldest = 0
  #count = 0
  /** Of every id of this worker. */
  #prefix = ''

  constructor(bytes = DEFAULT_BYTES) {
    this.#words = new Float64Array(bytes >> 3)
    this.#bytes = Buffer.from(this.#words.buffer)
  }

  /** How many records it has now. */
  get count(): number {
    return this.#count
  }

  record(x: EndedExchange): void {
    this.#record(x, 0)
  }

  recordTunnel(x: EndedTunnel): void {
    const { id, serial, generation, listener, route, upstream, ip, reason, detail, decidedBy, startedAt, durationMs } = x
    const { attempts, bytesIn, bytesOut, connectMs } = x
    // Places that clients name are not to push out those of the config.
    const endpoint = x.endpoint === x.destination ? null : x.endpoint
    const received = textOfTunnel(x)
    const as = { status: 0, protocol: 'HTTP/1.0', tunnel: true, scheme: 'http', peer: ip, upstreamMs: connectMs } as const
    this.#record(
      {
        ...{ ...as, id, serial, generation, listener, route, upstream, endpoint, ip, received, reason, detail, decidedBy },
        ...{ startedAt, durationMs, attempts, bytesIn, bytesOut },
      },
      OTHER,
    )
  }

  #record(x: Recorded, flags: number): void {
    const head = x.received
    const { ip, peer } = x
    const hasNotes = x.reason !== null || x.decidedBy !== null
    const notes = hasNotes ? notesOf(x) : ''
    const ipLength = Math.min(ip.length, MOST_ADDRESS)
    const peerLength = peer === ip ? 0 : Math.min(peer.length, MOST_ADDRESS)
    // Notes are UTF-8, at most three bytes to a unit.
    const most = ipLength + peerLength + notes.length * 3 + Math.min(head.length, MOST_HEAD)
    const at = this.#makeRoom(FIXED + ((most + 7) >> 3))
    if (at < 0) return
    const bytes = this.#bytes
    let end = (at + FIXED) << 3
    for (let i = 0; i < ipLength; i++) bytes[end++] = ip.charCodeAt(i)
    for (let i = 0; i < peerLength; i++) bytes[end++] = peer.charCodeAt(i)
    const headLength = bytes.latin1Write(head, end, Math.min(head.length, MOST_HEAD))
    end += headLength
    const notesLength = hasNotes ? bytes.write(notes, end) : 0
    this.#finish(x, at, end + notesLength, flags)
    this.#words[at + WORDS.sizes] = ipLength + peerLength * 64 + headLength * 4_096 + notesLength * (1 << 25)
  }

  /** Null for an id that is not of this worker, or not remembered any more. */
  recall(id: string): Recalled | null {
    const dash = id.lastIndexOf('-') + 1
    if (dash === 0 || id.slice(0, dash) !== this.#prefix) return null
    const serial = Number.parseInt(id.slice(dash), 36)
    let at = this.#oldest
    for (let i = 0; i < this.#count; i++) {
      if (this.#words[at + WORDS.serial] === serial) return this.#read(at, id)
      at = this.#after(at)
    }
    return null
  }

  #finish(x: Recorded, at: number, end: number, flags: number): void {
    const words = this.#words
    if (this.#prefix === '') this.#prefix = x.id.slice(0, x.id.lastIndexOf('-') + 1)
    words[at] = ((end + 7) >> 3) - at
    words[at + WORDS.serial] = x.serial
    words[at + WORDS.at] = x.startedAt
    words[at + WORDS.ms] = x.durationMs
    words[at + WORDS.upstreamMs] = x.upstreamMs
    words[at + WORDS.bytesIn] = x.bytesIn
    words[at + WORDS.bytesOut] = x.bytesOut
    words[at + WORDS.generation] = x.generation
    const protocol = x.protocol === 'HTTP/1.1' ? 1 : x.protocol === 'HTTP/2' ? 2 : 0
    const kind = flags + protocol + (x.tunnel ? TUNNEL : 0) + (x.scheme === 'https' ? HTTPS : 0)
    words[at + WORDS.kind] = x.status + x.attempts * 1_000 + kind * 1_000_000
    this.#next = at + words[at]
    this.#count++
    const { rounds } = this.#places
    words[at + WORDS.place] = this.#places.indexOf(x)
    if (this.#places.rounds !== rounds) this.#forgetOthers(at)
  }

  /** The list of places began anew: what the others speak of is gone. */
  #forgetOthers(at: number): void {
    this.#oldest = at
    this.#count = 1
  }

  /** Where `need` words may be written, the oldest records given up for them; -1 if the buffer is too small for it. */
  #makeRoom(need: number): number {
    const words = this.#words
    if (need > words.length) return -1
    if (this.#next + need > words.length) {
      while (this.#count > 0 && this.#oldest >= this.#next) this.#drop()
      if (this.#next < words.length) words[this.#next] = END
      this.#next = 0
    }
    const end = this.#next + need
    while (this.#count > 0 && this.#oldest >= this.#next && this.#oldest < end) this.#drop()
    if (this.#count === 0) this.#oldest = this.#next
    return this.#next
  }

  #drop(): void {
    this.#oldest = this.#after(this.#oldest)
    this.#count--
  }

  #after(at: number): number {
    const next = at + this.#words[at]!
    return next >= this.#words.length || this.#words[next] === END ? 0 : next
  }

  #read(at: number, id: string): Recalled {
    const word = (name: keyof typeof WORDS): number => this.#words[at + WORDS[name]]!
    const sizes = word('sizes')
    const [ipLength, peerLength, headLength] = [sizes % 64, Math.floor(sizes / 64) % 64, Math.floor(sizes / 4_096) % 8_192]
    let from = (at + FIXED) << 3
    const take = (length: number): string => {
      from += length
      return this.#bytes.latin1Slice(from - length, from)
    }
    const ip = take(ipLength)
    const peer = peerLength === 0 ? ip : take(peerLength)
    const head = take(headLength)
    const notes = this.#bytes.toString('utf8', from, from + Math.floor(sizes / (1 << 25)))
    const kind = word('kind')
    const flags = Math.floor(kind / 1_000_000)
    const { listener, route, upstream, endpoint } = this.#places.at(word('place'))
    const shared = {
      ...{ id, at: word('at'), ms: word('ms'), listener, route, upstream, endpoint, ip, ...readNotes(notes) },
      ...{
        attempts: Math.floor(kind / 1_000) % 1_000,
        bytesIn: word('bytesIn'),
        bytesOut: word('bytesOut'),
        generation: word('generation'),
      },
    }
    const upstreamMs = word('upstreamMs') >= 0 ? word('upstreamMs') : null
    if ((flags & OTHER) !== 0) {
      const texts = readTunnel(head)
      return {
        ...shared,
        kind: 'tunnel',
        connectMs: upstreamMs,
        ...texts,
        endpoint: endpoint ?? (shared.attempts === 0 ? null : texts.destination),
      }
    }
    const scheme = (flags & HTTPS) === 0 ? 'http' : 'https'
    const isCut = headLength >= MOST_HEAD
    return {
      ...{ ...shared, kind: 'exchange', upstreamMs, status: kind % 1_000, tunnel: (flags & TUNNEL) !== 0 },
      ...{ protocol: PROTOCOLS[flags & 3]!, scheme, peer, head, isCut },
    }
  }
}

type TunnelTexts = Pick<RecalledTunnel, 'protocol' | 'destination' | 'sni' | 'user' | 'datagramsIn' | 'datagramsOut'>

/** In the place of a head; what a user is called may hold anything, so it comes last. UTF-8, a character a byte. */
function textOfTunnel({ protocol, destination, sni, user, datagramsIn, datagramsOut }: EndedTunnel): string {
  const texts = [destination, sni, user].map((text) => (text === null ? '' : `+${text.slice(0, MOST_TEXT)}`))
  return Buffer.from([protocol, datagramsIn, datagramsOut, ...texts].join('\0'), 'utf8').latin1Slice()
}

function readTunnel(text: string): TunnelTexts {
  const [protocol, datagramsIn, datagramsOut, ...texts] = Buffer.from(text, 'latin1').toString('utf8').split('\0')
  const [destination = '', sni = '', ...user] = texts
  const given = (written: string): string | null => (written === '' ? null : written.slice(1))
  return {
    // It was written by textOfTunnel.
    ...{ protocol: protocol as RecalledTunnel['protocol'], datagramsIn: Number(datagramsIn), datagramsOut: Number(datagramsOut) },
    ...{ destination: given(destination), sni: given(sni), user: given(user.join('\0')) },
  }
}

/** The rare texts: why the proxy ended it, and who decided. */
function notesOf({ reason, decidedBy, detail }: Recorded): string {
  return `${reason ?? ''}\0${decidedBy ?? ''}\0${detail ?? ''}`.slice(0, MOST_NOTES)
}

function readNotes(notes: string): Pick<RecalledExchange, 'reason' | 'decidedBy' | 'detail'> {
  const [reason, decidedBy, detail] = notes.split('\0').map((text) => (text === '' ? null : text))
  // It was written by notesOf, from a code.
  return { reason: (reason ?? null) as ErrorCode | null, decidedBy: decidedBy ?? null, detail: detail ?? null }
}

interface Place {
  readonly index: number
  readonly listener: string
  readonly route: string | null
  readonly upstream: string | null
  readonly endpoint: string | null
  /** Another one of the same route and endpoint. */
  readonly other: Place | null
  /** What came after it the last time: endpoints take turns. */
  next: Place | null
}

/** Names of the config are written once, and numbered. */
class Places {
  /** How often there were too many, and all were forgotten. */
  rounds = 0
  #list: Place[] = []
  readonly #byRoute = new Map<string, Map<string | null, Place>>()
  #last: Place | null = null

  at(index: number): Place {
    return this.#list[index]!
  }

  indexOf(x: Recorded): number {
    const last = this.#last
    if (last !== null && isOf(last, x)) return last.index
    const guess = last?.next ?? null
    const place = guess !== null && isOf(guess, x) ? guess : this.#find(x)
    if (last !== null) last.next = place
    this.#last = place
    return place.index
  }

  #find(x: Recorded): Place {
    const key = x.route ?? x.listener
    let place = this.#byRoute.get(key)?.get(x.endpoint) ?? null
    while (place !== null && !isOf(place, x)) place = place.other
    return place ?? this.#add(key, x)
  }

  #add(key: string, { listener, route, upstream, endpoint }: Recorded): Place {
    if (this.#list.length >= MOST_PLACES) {
      this.#list = []
      this.#byRoute.clear()
      this.rounds++
    }
    let places = this.#byRoute.get(key)
    if (places === undefined) {
      places = new Map()
      this.#byRoute.set(key, places)
    }
    const place = { index: this.#list.length, listener, route, upstream, endpoint, other: places.get(endpoint) ?? null, next: null }
    places.set(endpoint, place)
    this.#list.push(place)
    return place
  }
}

function isOf(place: Place, x: Recorded): boolean {
  return place.route === x.route && place.endpoint === x.endpoint && place.upstream === x.upstream && place.listener === x.listener
}
