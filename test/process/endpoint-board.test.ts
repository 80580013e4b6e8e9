/** What is changed about endpoints while the proxy runs: what is answered, what all workers are told, and what a reload leaves of it. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EndpointBoard } from '../../core/process/endpoint-board.ts'
import { type EndpointError, parseEndpointAsk } from '../../core/upstream/endpoint-asks.ts'
import { changed, type EndpointChange } from '../../core/upstream/endpoint-changes.ts'
import type { UpstreamState } from '../../core/upstream/upstream-state.ts'
import { Waiting } from '../support/deadline.ts'
import { anUpstream } from '../support/heads.ts'

/** A board before workers that hold these upstreams. */
class World {
  config: Record<string, readonly string[]> = { api: ['10.0.0.1:80', '10.0.0.2:80'], other: ['10.0.1.1:80'] }
  isSticky = true
  isDiscovered = false
  /** Drains by what its discovery says. */
  ending = ''
  told: readonly EndpointChange[] = []
  /** Workers hear of a change, and then it fails. */
  isBroken = false
  readonly logged: string[] = []
  readonly waiting = new Waiting()
  readonly board = new EndpointBoard({
    states: async () => [this.#states(), this.#states()],
    apply: async (changes) => {
      this.told = changes
      if (this.isBroken) throw new Error('they cannot be told')
    },
    log: (text) => {
      this.logged.push(text)
      this.waiting.poke()
    },
  })

  ask(kind: string, address: string, more: object = {}): Promise<string> {
    const ask = parseEndpointAsk({ kind, upstream: 'api', address, ...more })
    if (typeof ask === 'string' || ask.kind === 'list') throw new Error(String(ask))
    return this.board.change(ask).catch((error: EndpointError) => `${error.kind}: ${error.message}`)
  }

  /** `10.0.0.1:80 sticky` */
  get endpoints(): string[] {
    return this.#states()[0]!.endpoints.map(({ address, drain }) => (drain === null ? address : `${address} ${drain}`))
  }

  #states(): UpstreamState[] {
    return Object.entries(this.config).map(([name, written]): UpstreamState => {
      const target = { kind: 'ip', host: '10.0.0.1', port: 80 } as const
      const source = anUpstream({
        name,
        endpoints: written.map((address) => ({ address, target, weight: 1, group: 0, drain: address === this.ending ? 'sticky' : null })),
      })
      const mine = this.told.filter(({ upstream }) => upstream === name)
      const plan = changed(source, mine.length === 0 ? undefined : mine)
      return {
        ...{
          name,
          isPanicking: false,
          waiting: 0,
          circuit: null,
          limit: null,
          isSticky: this.isSticky,
          isDiscovered: this.isDiscovered,
          undiscovered: '',
          leftOut: '',
        },
        endpoints: plan.endpoints.map(({ address, weight, drain }) => ({
          ...{ address, weight, drain, isEjected: false, isHealthy: null, why: '', connections: 0, inFlight: 0, until: null },
          isAdded: !written.includes(address),
        })),
        removed: mine.filter(({ isRemoved, address }) => isRemoved && written.includes(address)).map(({ address }) => address),
      }
    })
  }
}

test('an endpoint comes, drains, takes requests again and goes, and each is said and logged', async () => {
  const world = new World()
  assert.is(await world.ask('add', '10.0.0.9:80', { weight: 5 }), 'endpoint 10.0.0.9:80 of api is added')
  assert.equal(world.endpoints, ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.9:80'])
  assert.match(
    await world.ask('drain', '10.0.0.1:80'),
    /^endpoint 10.0.0.1:80 of api drains: until \d\d:\d\d:\d\d it gets requests of clients that stay with it, and no others$/,
  )
  assert.is(await world.ask('drain', '10.0.0.2:80', { sticky: '0s' }), 'endpoint 10.0.0.2:80 of api drains: it gets no more requests')
  assert.equal(world.endpoints, ['10.0.0.1:80 sticky', '10.0.0.2:80 all', '10.0.0.9:80'])
  assert.is(await world.ask('undrain', '10.0.0.1:80'), 'endpoint 10.0.0.1:80 of api takes requests again')
  assert.is(await world.ask('remove', '10.0.0.9:80'), 'endpoint 10.0.0.9:80 of api is removed')
  assert.is(await world.ask('remove', '10.0.0.1:80'), 'endpoint 10.0.0.1:80 of api is removed; no endpoint of api takes new requests now')
  assert.equal(world.endpoints, ['10.0.0.2:80 all'])
  assert.is(await world.ask('add', '10.0.0.1:80'), 'endpoint 10.0.0.1:80 of api is back, as the config has it')
  assert.is(await world.ask('undrain', '10.0.0.2:80'), 'endpoint 10.0.0.2:80 of api takes requests again')
  assert.equal([world.endpoints, world.board.changes], [['10.0.0.1:80', '10.0.0.2:80'], []])
  assert.is(world.logged.length, 8)
  world.board.stop()
})

test('what cannot be is said with what was meant, and changes nothing', async () => {
  const world = new World()
  assert.is(await world.ask('drain', '10.0.0.3:80'), 'unknown: there is no endpoint 10.0.0.3:80 of api; did you mean 10.0.0.1:80?')
  assert.is(await world.ask('remove', 'elsewhere:1'), 'unknown: there is no endpoint elsewhere:1 of api; there is 10.0.0.1:80, 10.0.0.2:80')
  assert.is(await world.ask('add', '10.0.0.1:80'), 'conflict: 10.0.0.1:80 is an endpoint of api already')
  assert.is(await world.ask('undrain', '10.0.0.1:80'), 'conflict: 10.0.0.1:80 of api does not drain')
  world.ending = '10.0.0.2:80'
  assert.is(await world.ask('undrain', '10.0.0.2:80'), 'conflict: 10.0.0.2:80 of api drains by what its discovery says')
  assert.is(await world.ask('add', 'a:1', { upstream: 'apu' }), 'unknown: there is no upstream apu; did you mean api?')
  assert.is(await world.ask('add', 'a:1', { upstream: 'elsewhere' }), 'unknown: there is no upstream elsewhere; there is api, other')
  await world.ask('remove', '10.0.0.1:80')
  assert.match(await world.ask('drain', '10.0.0.1:80'), /is removed: sluice endpoints add api 10\.0\.0\.1:80 brings it back/)
  world.config = {}
  assert.match(await world.ask('add', 'a:1'), /^busy: no worker answers/)
  assert.is(world.told.length, 1)
})

test('a change that fails is taken back, also from those who have heard of it', async () => {
  const world = new World()
  await world.ask('drain', '10.0.0.1:80', { sticky: '1h' })
  const before = world.board.changes
  world.isBroken = true
  assert.match(await world.ask('remove', '10.0.0.1:80'), /they cannot be told$/)
  assert.match(await world.ask('add', '10.0.0.9:80'), /they cannot be told$/)
  assert.equal([world.board.changes, world.told], [before, before])
  assert.is(world.logged.length, 1)
  world.isBroken = false
  assert.is(await world.ask('remove', '10.0.0.1:80'), 'endpoint 10.0.0.1:80 of api is removed')
  world.board.stop()
})

test('clients that stay are let go when their time is over; where nobody stays that is at once', async () => {
  const world = new World()
  await world.ask('drain', '10.0.0.1:80', { sticky: '20ms' })
  assert.equal(world.endpoints[0], '10.0.0.1:80 sticky')
  await world.waiting.until(
    () => (world.logged.includes('endpoint 10.0.0.1:80 of api gets no more requests') ? true : undefined),
    () => world.logged.join('\n'),
  )
  assert.equal(world.endpoints[0], '10.0.0.1:80 all')
  world.isSticky = false
  assert.match(await world.ask('drain', '10.0.0.2:80'), /drains: it gets no more requests/)
})

test('a reload keeps what was changed, but what it says itself, and what says nothing any more', async () => {
  const world = new World()
  await world.ask('add', '10.0.0.9:80')
  await world.ask('drain', '10.0.0.1:80', { sticky: '0s' })
  await world.ask('remove', '10.0.0.2:80')
  await world.ask('add', '10.0.1.9:80', { upstream: 'other' })
  await world.board.reloaded()
  assert.is(world.told.length, 4)
  assert.equal(world.endpoints, ['10.0.0.1:80 all', '10.0.0.9:80'])
  // The config names the added one by now, and not the removed one; the other upstream is gone.
  world.config = { api: ['10.0.0.1:80', '10.0.0.9:80'] }
  await world.board.reloaded()
  assert.equal(world.endpoints, ['10.0.0.1:80 all', '10.0.0.9:80'])
  assert.equal(
    world.told.map(({ address }) => address),
    ['10.0.0.1:80'],
  )
  assert.is(world.logged.filter((line) => line.includes('is forgotten')).length, 3)
  // Of a discovery nothing is forgotten: what is away now may be found again.
  world.isDiscovered = true
  world.config = { api: ['10.0.0.9:80'] }
  await world.board.reloaded()
  assert.is(world.told.length, 1)
})

test('questions are answered one after the other', async () => {
  const world = new World()
  const answers = await Promise.all([1, 2, 3].map(() => world.ask('add', '10.0.0.9:80')))
  assert.equal(
    answers.map((answer) => answer.split(' ')[0]),
    ['endpoint', 'conflict:', 'conflict:'],
  )
})

test.run()
