/** The pool of one endpoint: the latest used first, no more idle than allowed, and every connection counted exactly once. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Deadlines } from '../../core/deadlines.ts'
import type { EndpointPlan } from '../../core/plan/upstream-plan.ts'
import type { UpstreamConnection } from '../../core/upstream/connection.ts'
import { DnsCache } from '../../core/upstream/dns.ts'
import { Pool, type PoolOptions } from '../../core/upstream/pool.ts'
import { Waiting, within } from '../support/deadline.ts'
import { type Origin, startOrigin } from '../support/origin.ts'

class Rig implements AsyncDisposable {
  ms = 0
  counted = 0
  readonly deadlines = new Deadlines(50, () => this.ms)
  readonly dns = new DnsCache({ servers: ['127.0.0.1:1'] })
  readonly origin: Origin
  readonly pool: Pool
  readonly #waiting = new Waiting()

  constructor(origin: Origin, options: Partial<PoolOptions> = {}) {
    this.origin = origin
    const target: EndpointPlan['target'] = { kind: 'ip', host: '127.0.0.1', port: origin.port }
    this.pool = new Pool(
      { target, tls: null, proxyProtocol: null, connectMs: 5_000, keepAliveMs: 1_000, maxIdle: 8, ...options },
      {
        dns: this.dns,
        deadlines: this.deadlines,
        counted: (change) => {
          this.counted += change
          this.#waiting.poke()
        },
      },
    )
  }

  open(): Promise<UpstreamConnection> {
    return within(
      new Promise((resolve, reject) => {
        this.pool.dial((connection, error) => (connection === null ? reject(new Error(String(error))) : resolve(connection)))
      }),
      'no connection',
    )
  }

  async counts(count: number): Promise<void> {
    await this.#waiting.until(
      () => (this.counted === count && this.pool.open === count ? true : undefined),
      () => `${this.counted} counted, ${this.pool.open} open`,
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.pool.retire()
    this.deadlines.stop()
    await this.origin.close()
  }
}

async function rig(options: Partial<PoolOptions> = {}): Promise<Rig> {
  return new Rig(await startOrigin(), options)
}

test('the latest released is taken first, so that the others can age', async () => {
  await using one = await rig()
  const [a, b, c] = [await one.open(), await one.open(), await one.open()]
  for (const connection of [b!, a!, c!]) {
    connection.wire.resume()
    one.pool.release(connection)
  }
  assert.ok(one.pool.take() === c && one.pool.take() === a && one.pool.take() === b)
  assert.is(one.pool.take(), null)
  await one.counts(3)
  for (const connection of [a!, b!, c!]) connection.wire.destroy()
  await one.counts(0)
})

test('no more are kept idle than allowed', async () => {
  await using one = await rig({ maxIdle: 1 })
  const [a, b] = [await one.open(), await one.open()]
  one.pool.release(a!)
  one.pool.release(b!)
  assert.ok(b!.wire.closed)
  await one.counts(1)
  assert.ok(one.pool.take() === a)
  a!.wire.destroy()
})

test('an idle connection ends after its time, one in use does not', async () => {
  await using one = await rig({ keepAliveMs: 1_000 })
  const [idle, used] = [await one.open(), await one.open()]
  one.pool.release(idle!)
  one.ms = 900
  one.deadlines.tick()
  assert.not.ok(idle!.wire.closed)
  one.ms = 1_200
  one.deadlines.tick()
  assert.ok(idle!.wire.closed)
  assert.not.ok(used!.wire.closed)
  assert.is(one.pool.take(), null)
  used!.wire.destroy()
  await one.counts(0)
})

test('one that closes while idle is never handed out', async () => {
  await using one = await rig()
  const connection = await one.open()
  connection.wire.resume()
  one.pool.release(connection)
  ;(await one.origin.connection()).end()
  await one.counts(0)
  assert.is(one.pool.take(), null)
})

test('retired, idle connections go at once, and the others when they come back', async () => {
  await using one = await rig()
  const [idle, used] = [await one.open(), await one.open()]
  one.pool.release(idle!)
  one.pool.retire()
  assert.ok(idle!.wire.closed)
  assert.not.ok(used!.wire.closed)
  one.pool.release(used!)
  assert.ok(used!.wire.closed)
  await one.counts(0)
})

test('a dial that was given up opens nothing, and counts nothing', async () => {
  await using one = await rig()
  let told = 0
  one.pool.dial(() => told++)()
  await one.counts(0)
  await one.open().then((connection) => connection.wire.destroy())
  assert.is(told, 0)
  await one.counts(0)
})

test('a connect that takes too long is told once', async () => {
  await using one = await rig({ target: { kind: 'ip', host: '192.0.2.1', port: 9 }, connectMs: 100 })
  const told: unknown[] = []
  const done = new Promise<void>((resolve) => {
    one.pool.dial((connection, error) => {
      told.push(connection, error)
      resolve()
    })
  })
  one.ms = 1_000
  one.deadlines.tick()
  await within(done, 'not told')
  assert.equal(told[0], null)
  await one.counts(0)
})

test('a name that is known to fail fails after the call that asked, so that it can still be given up', async () => {
  // Mechanism: the failure was told inside the call; what the caller then kept gave up an attempt that was over, not the one under way.
  await using one = await rig({ target: { kind: 'name', host: 'gone.test', port: 9 } })
  await one.open().catch(() => {})
  let told = 0
  one.pool.dial(() => told++)()
  assert.is(told, 0)
  const late = within(new Promise((resolve) => one.pool.dial((_, error) => resolve([told++, error]))), 'not told')
  assert.is(told, 0)
  assert.equal(await late, [0, 'dns_error'])
  await one.counts(0)
})

test.run()
