/** Writes a ClientHello, by the letter of the RFCs and apart from the reader. */
import fc from 'fast-check'
import type { ClientHello } from '../../core/net/client-hello.ts'

export interface HelloParts {
  readonly serverName?: string | null
  readonly alpn?: readonly string[]
  readonly versions?: readonly number[]
  /** Type and body; after those above. */
  readonly extensions?: readonly (readonly [type: number, body: Buffer])[]
  readonly sessionId?: number
  /** `null`: as hellos before TLS 1.2 could be, without a list of extensions. */
  readonly list?: null
}

export function numbers(size: 1 | 2 | 3, value: number): Buffer {
  const bytes = Buffer.alloc(size)
  bytes.writeUIntBE(value, 0, size)
  return bytes
}

/** A vector with its length before it. */
export function vector(size: 1 | 2 | 3, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([numbers(size, body.length), body])
}

export function serverNames(...names: readonly (string | Buffer)[]): Buffer {
  return vector(2, ...names.flatMap((name) => [numbers(1, 0), vector(2, Buffer.from(name as string, 'latin1'))]))
}

export function outerEch(size: number): Buffer {
  return Buffer.concat([Buffer.from([0, 0, 1, 0, 1, 7]), vector(2, Buffer.alloc(32, 1)), vector(2, Buffer.alloc(size, 2))])
}

export function extensionsOf({ serverName = null, alpn = [], versions = [], extensions = [] }: HelloParts): [number, Buffer][] {
  const all: [number, Buffer][] = []
  if (serverName !== null) all.push([0, serverNames(serverName)])
  if (alpn.length > 0) all.push([16, vector(2, ...alpn.map((name) => vector(1, Buffer.from(name, 'latin1'))))])
  if (versions.length > 0) all.push([43, vector(1, ...versions.map((version) => numbers(2, version)))])
  return [...all, ...extensions.map(([type, body]): [number, Buffer] => [type, body])]
}

/** The message, without a record. */
export function helloMessage(parts: HelloParts): Buffer {
  const list =
    parts.list === null ? [] : [vector(2, ...extensionsOf(parts).map(([type, body]) => Buffer.concat([numbers(2, type), vector(2, body)])))]
  const body = [
    ...[numbers(2, 0x0303), Buffer.alloc(32, 0xaa), vector(1, Buffer.alloc(parts.sessionId ?? 32, 0xbb))],
    ...[vector(2, Buffer.from([0x1a, 0x1a, 0x13, 0x01, 0xc0, 0x2f])), vector(1, numbers(1, 0)), ...list],
  ]
  return Buffer.concat([numbers(1, 1), vector(3, ...body)])
}

export function record(body: Uint8Array, type = 22): Buffer {
  return Buffer.concat([Buffer.from([type, 3, 1]), vector(2, body)])
}

/** In records of these sizes, the last of them again and again. */
export function records(message: Buffer, sizes: readonly number[] = [16_384]): Buffer {
  const all: Buffer[] = []
  for (let at = 0; at < message.length; at += sizes[Math.min(all.length - 1, sizes.length - 1)]!) {
    const size = sizes[Math.min(all.length, sizes.length - 1)]!
    all.push(record(message.subarray(at, at + size)))
  }
  return Buffer.concat(all)
}

export interface Written {
  readonly message: Buffer
  readonly expected: ClientHello
}

const GREASE = [0x0a0a, 0x1a1a, 0xfafa]
const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?$/)
const hostName = fc.tuple(label, fc.stringMatching(/^[a-z]{2,5}$/)).map((labels) => labels.join('.'))

/** Hellos as clients send them, GREASE of all kinds and large key shares among them. */
export const anyHello: fc.Arbitrary<Written> = fc
  .record({
    serverName: fc.option(hostName),
    alpn: fc.subarray(['h2', 'http/1.1', 'h3', '\x2a\x2a', 'acme-tls/1']),
    versions: fc.subarray([0x2a2a, 0x0304, 0x0303]),
    sessionId: fc.nat(32),
    keyShares: fc.integer({ min: 0, max: 3000 }),
    ech: fc.constantFrom(null, 'outer', 'inner'),
    grease: fc.subarray(GREASE),
    isResumed: fc.boolean(),
    upper: fc.boolean(),
  })
  .map(({ serverName, alpn, versions, sessionId, keyShares, ech, grease, isResumed, upper }) => {
    const extensions: [number, Buffer][] = [
      ...grease.map((type): [number, Buffer] => [type, Buffer.alloc(type & 1)]),
      [51, vector(2, Buffer.alloc(keyShares, 5))],
      ...(ech === null ? [] : [[0xfe0d, ech === 'outer' ? outerEch(200) : numbers(1, 1)] as [number, Buffer]]),
      ...(isResumed ? [[41, vector(2, Buffer.alloc(60, 6))] as [number, Buffer]] : []),
    ]
    const parts = { serverName: upper ? (serverName?.toUpperCase() ?? null) : serverName, alpn, versions, sessionId, extensions }
    const offered = versions.filter((version) => version !== 0x2a2a)
    return {
      message: helloMessage(parts),
      expected: {
        serverName,
        alpn: alpn.filter((name) => name !== '\x2a\x2a'),
        versions: versions.length === 0 ? [0x0303] : offered,
        isEch: ech === 'outer',
      },
    }
  })
