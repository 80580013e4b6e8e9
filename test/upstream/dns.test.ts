/** The name cache against a name server of a few lines: asks once, keeps to the TTL, goes on with what it knew when nobody answers. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DnsCache, parseHosts } from '../../core/upstream/dns.ts'
import { within } from '../support/deadline.ts'
import { NameServer, type Zone } from '../support/name-server.ts'

type Outcome = { readonly addresses: readonly string[] | null; readonly error: string | null }
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
