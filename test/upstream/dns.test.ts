/** The name cache against a name server of a few lines: asks once, keeps to the TTL, goes on with what it knew when nobody answers. */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DnsCache, parseHosts } from '../../core/upstream/dns.ts'
import { within } from '../support/deadline.ts'

type Outcome = { readonly addresses: readonly string[] | null; readonly error: string | null }
interface Zone {
  readonly a?: readonly string[]
  readonly aaaa?: readonly string[]
  readonly ttl?: number
  /** Response code; 3 is NXDOMAIN, 2 SERVFAIL, 'silent' no answer. */
  readonly fails?: number | 'silent'
}

class NameServer implements AsyncDisposable {
  zone: Zone = {}
  /** `name A`, `name AAAA`. */
  readonly asked: string[] = []
  readonly #socket: Socket = createSocket('udp4')

  async start(): Promise<string> {
    this.#socket.on('message', (query, from) => {
      const reply = this.#answer(query)
      if (reply !== null) this.#socket.send(reply, from.port, from.address)
    })
    this.#socket.bind(0, '127.0.0.1')
    await once(this.#socket, 'listening')
    return `127.0.0.1:${this.#socket.address().port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()))
  }

  /** RFC 1035 §4. */
  #answer(query: Buffer): Buffer | null {
    const labels: string[] = []
    let at = 12
    for (; query[at]! > 0; at += query[at]! + 1) labels.push(query.toString('latin1', at + 1, at + 1 + query[at]!))
    const type = query.readUInt16BE(at + 1)
    this.asked.push(`${labels.join('.')} ${type === 1 ? 'A' : 'AAAA'}`)
    const { a = [], aaaa = [], ttl = 60, fails } = this.zone
    if (fails === 'silent') return null
    const records = fails !== undefined ? [] : type === 1 ? a.map((ip) => Buffer.from(ip.split('.').map(Number))) : aaaa.map(packed)
    const head = Buffer.alloc(12)
    query.copy(head, 0, 0, 2)
    head.writeUInt16BE(0x8180 | (fails ?? 0), 2)
    head.writeUInt16BE(1, 4)
    head.writeUInt16BE(records.length, 6)
    const parts = records.map((data) => {
      const fixed = Buffer.alloc(12)
      fixed.writeUInt16BE(0xc00c, 0)
      fixed.writeUInt16BE(type, 2)
      fixed.writeUInt16BE(1, 4)
      fixed.writeUInt32BE(ttl, 6)
      fixed.writeUInt16BE(data.length, 10)
      return Buffer.concat([fixed, data])
    })
    return Buffer.concat([head, query.subarray(12, at + 5), ...parts])
  }
}

/** `::N` and `2001:db8::N` only. */
function packed(ip: string): Buffer {
  const bytes = Buffer.alloc(16)
  if (ip.startsWith('2001:db8::')) bytes.writeUInt32BE(0x20010db8)
  bytes[15] = Number.parseInt(ip.slice(ip.lastIndexOf(':') + 1), 16)
  return bytes
}

class Rig implements AsyncDisposable {
  readonly server = new NameServer()
  ms = 0
  cache!: DnsCache
  async start(zone: Zone): Promise<this> {
    this.server.zone = zone
    this.cache = new DnsCache({ servers: [await this.server.start()], clock: () => this.ms })
    return this
  }
  resolve(name = 'api.test'): Promise<Outcome> {
    return within(new Promise((resolve) => this.cache.resolve(name, (addresses, error) => resolve({ addresses, error }))), name, 10_000)
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.server[Symbol.asyncDispose]()
  }
}

test('IPv4 first, asked for once however many want to know', async () => {
  await using rig = await new Rig().start({ a: ['10.0.0.1', '10.0.0.2'], aaaa: ['2001:db8::5'] })
  const all = await Promise.all([rig.resolve(), rig.resolve(), rig.resolve()])
  for (const { addresses, error } of all)
    assert.equal([[...addresses!].sort(), addresses!.at(-1), error], [['10.0.0.1', '10.0.0.2', '2001:db8::5'], '2001:db8::5', null])
  await rig.resolve()
  assert.equal([...rig.server.asked].sort(), ['api.test A', 'api.test AAAA'])
})

test('one family is enough', async () => {
  await using four = await new Rig().start({ a: ['10.0.0.1'] })
  assert.equal((await four.resolve()).addresses, ['10.0.0.1'])
  await using six = await new Rig().start({ aaaa: ['2001:db8::1'] })
  assert.equal((await six.resolve()).addresses, ['2001:db8::1'])
})

test('records live as long as they say, but a second at least and five minutes at most', async () => {
  for (const [ttl, lives] of [
    [30, 30_000],
    [0, 1_000],
    [86_400, 300_000],
  ] as const) {
    await using rig = await new Rig().start({ a: ['10.0.0.1'], ttl })
    await rig.resolve()
    rig.server.zone = { a: ['10.0.0.2'] }
    rig.ms = lives - 1
    assert.equal((await rig.resolve()).addresses, ['10.0.0.1'], `${ttl} s`)
    // Just expired: the old one still answers, and the name is asked for again.
    rig.ms = lives
    assert.equal((await rig.resolve()).addresses, ['10.0.0.1'], `${ttl} s`)
    while ((await rig.resolve()).addresses![0] !== '10.0.0.2') await new Promise((resolve) => setImmediate(resolve))
  }
})

test('long after its time an address answers no more: the next one waits for the query', async () => {
  await using rig = await new Rig().start({ a: ['10.0.0.1'], ttl: 30 })
  await rig.resolve()
  rig.server.zone = { a: ['10.0.0.2'] }
  rig.ms = 30_000 + 60_000
  assert.equal((await rig.resolve()).addresses, ['10.0.0.2'])
})

test('while a name is asked for again, what was known answers at once', async () => {
  await using rig = await new Rig().start({ a: ['10.0.0.1'], ttl: 1 })
  await rig.resolve()
  rig.server.zone = { fails: 'silent' }
  rig.ms = 2_000
  const asking = rig.resolve()
  assert.equal((await rig.resolve()).addresses, ['10.0.0.1'])
  assert.equal((await asking).addresses, ['10.0.0.1'])
})

test('a name that does not exist is an error, kept for a moment, and asked for again', async () => {
  await using rig = await new Rig().start({ fails: 3 })
  assert.equal(await rig.resolve(), { addresses: null, error: 'dns_error' })
  const asked = rig.server.asked.length
  assert.equal(await rig.resolve(), { addresses: null, error: 'dns_error' })
  assert.is(rig.server.asked.length, asked)
  rig.server.zone = { a: ['10.0.0.1'] }
  rig.ms = 1_000
  assert.equal((await rig.resolve()).addresses, ['10.0.0.1'])
})

test('a name server that fails does not take away what was known; a name that is gone does', async () => {
  await using rig = await new Rig().start({ a: ['10.0.0.1'], ttl: 1 })
  await rig.resolve()
  rig.server.zone = { fails: 2 }
  rig.ms = 2_000
  assert.equal((await rig.resolve()).addresses, ['10.0.0.1'])
  rig.server.zone = { fails: 3 }
  rig.ms = 4_000
  while ((await rig.resolve()).error !== 'dns_error') await new Promise((resolve) => setImmediate(resolve))
})

test('addresses, localhost and its subdomains ask nobody', async () => {
  await using rig = await new Rig().start({ fails: 3 })
  assert.equal((await rig.resolve('10.1.2.3')).addresses, ['10.1.2.3'])
  assert.equal((await rig.resolve('::1')).addresses, ['::1'])
  for (const name of ['localhost', 'LocalHost', 'a.localhost']) assert.equal((await rig.resolve(name)).addresses, ['127.0.0.1', '::1'])
  assert.equal(rig.server.asked, [])
})

test('a name is the same name in any case', async () => {
  await using rig = await new Rig().start({ a: ['10.0.0.1'] })
  await rig.resolve('Api.Test')
  await rig.resolve('api.test')
  assert.is(rig.server.asked.length, 2)
})

test('hosts(5) is read as the system reads it', () => {
  const hosts = parseHosts('# comment\n127.0.0.1 localhost a\n10.0.0.1\tApi.Internal api # the api\n::1 a\n\nnot-an-ip x\n10.0.0.2 api\n')
  assert.equal(
    [...hosts],
    [
      ['localhost', ['127.0.0.1']],
      ['a', ['127.0.0.1', '::1']],
      ['api.internal', ['10.0.0.1']],
      ['api', ['10.0.0.1', '10.0.0.2']],
    ],
  )
})

test.run()
