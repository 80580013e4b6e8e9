/** What is measured: each lane is one kind of work that every proxy in it does the same way. */

export type Engine = 'worker' | 'process'
export type SubjectName = 'nginx' | 'nginx+njs' | 'nginx+Lua' | 'HAProxy' | 'Varnish' | 'Sluice' | 'Sluice, process engine'

export interface Lane {
  readonly name: string
  readonly title: string
  /** Path at the origin: `/small`, `/10k`, `/1m`, `/tagged`, `/upload`. */
  readonly path: string
  readonly subjects: readonly SubjectName[]
  /** Runs the plugin, or what does the same elsewhere. */
  readonly plugin: boolean
  readonly workers: number
  /** Bytes of a POST body; 0 for GET. */
  readonly uploadBytes: number
  readonly newConnections: boolean
  /** The proxy terminates TLS; `resumed`: each connection resumes the session of the one before. */
  readonly tls: 'none' | 'full' | 'resumed'
  /** Streams a connection, over HTTP/2; 0: HTTP/1.1. */
  readonly streams: number
  /** Bytes are relayed unread. */
  readonly relays: boolean
  /** Answers are kept in the proxy's cache. */
  readonly cached: boolean
  /**
   * `same`: one URL; `again`: one URL, by a client that has the answer (`If-None-Match`); `new`: a URL that nobody has asked for; `zipf`: nine of ten among
   * 10,000 URLs, a few of them most of the time, one of ten new.
   */
  readonly asks: 'same' | 'again' | 'new' | 'zipf'
}

const plain: Lane = {
  name: 'plain',
  title: 'keep-alive GET, 95-byte answer',
  path: '/small',
  subjects: ['nginx', 'HAProxy', 'Sluice'],
  plugin: false,
  workers: 1,
  uploadBytes: 0,
  newConnections: false,
  tls: 'none',
  streams: 0,
  relays: false,
  cached: false,
  asks: 'same',
}
const cached: Lane = { ...plain, subjects: ['nginx', 'Varnish', 'Sluice'], cached: true }
const h2: Lane = { ...plain, tls: 'full', streams: 8 }

export const lanes: readonly Lane[] = [
  plain,
  {
    ...plain,
    name: 'plugin',
    title: 'one plugin: block by User-Agent, set a field each way',
    subjects: ['nginx', 'nginx+njs', 'nginx+Lua', 'Sluice', 'Sluice, process engine'],
    plugin: true,
  },
  { ...plain, name: '10k', title: 'keep-alive GET, 10 KB body', path: '/10k' },
  { ...plain, name: '1m', title: 'keep-alive GET, 1 MB body', path: '/1m' },
  { ...plain, name: 'upload', title: 'keep-alive POST, 100 KB body', path: '/upload', uploadBytes: 100_000 },
  { ...plain, name: 'connections', title: 'a new connection a request, 95-byte answer', newConnections: true },
  { ...plain, name: 'https', title: 'keep-alive GET over TLS 1.3, 95-byte answer', tls: 'full' },
  { ...h2, name: 'h2', title: 'HTTP/2 over TLS 1.3, GET, 95-byte answer, 8 streams on each of 8 connections' },
  { ...h2, name: 'h2-single', title: 'HTTP/2 over TLS 1.3, GET, 95-byte answer, 1 stream on each of 64 connections', streams: 1 },
  { ...h2, name: 'h2-10k', title: 'HTTP/2 over TLS 1.3, GET, 10 KB body, 8 streams on each of 8 connections', path: '/10k' },
  { ...h2, name: 'h2-upload', title: 'HTTP/2 over TLS 1.3, POST, 100 KB body', path: '/upload', uploadBytes: 100_000 },
  { ...plain, name: 'handshakes', title: 'a new connection and a full TLS handshake a request', tls: 'full', newConnections: true },
  { ...plain, name: 'resumed', title: 'a new connection and a resumed TLS 1.2 handshake a request', tls: 'resumed', newConnections: true },
  { ...plain, name: 'relay', title: 'TCP relay, keep-alive GET, 95-byte answer', relays: true },
  { ...plain, name: 'relay-1m', title: 'TCP relay, keep-alive GET, 1 MB body', path: '/1m', relays: true },
  { ...plain, name: 'relay-connections', title: 'TCP relay, a new connection a request', relays: true, newConnections: true },
  { ...cached, name: 'cache', title: 'out of the cache, 95-byte answer' },
  { ...cached, name: 'cache-10k', title: 'out of the cache, 10 KB body', path: '/10k' },
  { ...cached, name: 'cache-1m', title: 'out of the cache, 1 MB body', path: '/1m' },
  { ...cached, name: 'cache-304', title: '304 out of the cache, of a 10 KB body', path: '/tagged', asks: 'again' },
  { ...cached, name: 'cache-miss', title: 'a new URL a request, kept in the cache, 95-byte answer', asks: 'new' },
  {
    ...cached,
    name: 'cache-zipf',
    title: '10,000 URLs by Zipf, one in ten requests for a new one, 10 KB body',
    path: '/10k',
    asks: 'zipf',
  },
  { ...plain, name: 'workers', title: '2 workers on both cores, keep-alive GET (noisy: load and origin share them)', workers: 2 },
]

/** Agents that the plugin, and what does the same elsewhere, refuse. */
export const BLOCKED_AGENTS: readonly string[] = ['evilbot', 'scrapebot']
export const USER_AGENT = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36'
