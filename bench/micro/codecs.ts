/**
 * What the codecs of first bytes cost: a ClientHello, in one record and in several, whole and as the first half of it; a header of the
 * PROXY protocol, read and written; a QUIC Initial, keys and decryption included. Prints ns of CPU an operation, the median of rounds.
 */
import { readClientHello } from '../../core/net/client-hello.ts'
import { readProxyHeader, writeProxyHeader } from '../../core/net/proxy-protocol.ts'
import { QuicHello } from '../../core/net/quic-initial.ts'
import { helloMessage, outerEch, records } from '../../test/support/client-hello.ts'
import { cryptoFrame, datagram } from '../../test/support/quic-initial.ts'

const ROUNDS = 9
const A_ROUND_MS = 60

/** As a browser sends it: a key share of ML-KEM beside one of X25519, GREASE, ECH. */
const message = helloMessage({
  ...{ serverName: 'www.example.com', alpn: ['h2', 'http/1.1'], versions: [0x2a2a, 0x0304, 0x0303] },
  extensions: [
    ...[
      [0x0a0a, Buffer.alloc(0)] as const,
      [23, Buffer.alloc(0)] as const,
      [10, Buffer.alloc(12)] as const,
      [13, Buffer.alloc(18)] as const,
    ],
    ...[
      [51, Buffer.alloc(1263)] as const,
      [45, Buffer.alloc(2)] as const,
      [0xfe0d, outerEch(176)] as const,
      [0x1a1a, Buffer.alloc(1)] as const,
    ],
  ],
})
const hello = records(message)
const split = records(message, [512])

const addresses = { source: { ip: '192.0.2.7', port: 40_000 }, destination: { ip: '198.51.100.1', port: 443 } }
const v6 = { source: { ip: '2001:db8::7', port: 40_000 }, destination: { ip: '2001:db8::1', port: 443 }, tls: null }
const tls = { serverName: 'www.example.com', alpn: 'h2', version: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256', commonName: null }
const plain = { ...addresses, tls: null }
const told = { ...addresses, tls }
const [text, text6, binary, full] = [
  writeProxyHeader(1, plain),
  writeProxyHeader(1, v6),
  writeProxyHeader(2, plain),
  writeProxyHeader(2, told),
]
const first = datagram({ payload: cryptoFrame(0, message.subarray(0, 1000)) })
const second = datagram({ payload: cryptoFrame(1000, message.subarray(1000)), number: 1 })

const works: readonly (readonly [name: string, work: () => unknown])[] = [
  [`ClientHello of ${hello.length} bytes`, () => readClientHello(hello, hello.length)],
  ['the first half of it', () => readClientHello(hello, hello.length >> 1)],
  ['in records of 512 bytes', () => readClientHello(split, split.length)],
  ['PROXY v1, IPv4', () => readProxyHeader(text, text.length)],
  ['PROXY v1, IPv6', () => readProxyHeader(text6, text6.length)],
  ['PROXY v2, addresses and checksum', () => readProxyHeader(binary, binary.length)],
  [`PROXY v2, TLS too (${full.length} bytes)`, () => readProxyHeader(full, full.length)],
  ['PROXY v1 written', () => writeProxyHeader(1, plain)],
  ['PROXY v2 with TLS written', () => writeProxyHeader(2, told)],
  [
    'QUIC hello in two Initials',
    () => {
      const quic = new QuicHello()
      return quic.add(first) ?? quic.add(second)
    },
  ],
]

for (const [name, work] of works) {
  const answer = work()
  if (answer === 'malformed' || answer === 'too_large' || answer === 'version') throw new Error(`${name}: ${answer}`)
  console.log(`${name.padEnd(36)}${measure(work).toFixed(0).padStart(8)} ns`)
}

function measure(work: () => unknown): number {
  const times = Array.from({ length: ROUNDS }, () => round(work)).sort((a, b) => a - b)
  return times[ROUNDS >> 1]!
}

function round(work: () => unknown): number {
  const until = performance.now() + A_ROUND_MS
  const began = process.threadCpuUsage()
  let count = 0
  while (performance.now() < until) for (let i = 0; i < 50; i++, count++) work()
  const { user, system } = process.threadCpuUsage(began)
  return ((user + system) * 1000) / count
}
