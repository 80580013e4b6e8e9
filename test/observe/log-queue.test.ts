/** Batches for hooks of the log: when they are handed on, in which order their lines are written, how many wait, and how it ends. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { makeHook } from '../../core/hooks.ts'
import { anExchange } from '../support/exchange.ts'
import { Held } from '../support/proxy.ts'
import { logging, Told, turn } from '../support/told.ts'

const SECRET = '?token=s3cr3t'

test('a batch waits 50 ms at most, and no longer than for 128 lines; nobody is asked while an exchange ends', async () => {
  using it = new Told()
  const sizes: number[] = []
  const hooks = [logging((entries) => void sizes.push(entries.length))]
  it.end(anExchange(), hooks)
  it.passMs(24)
  assert.equal(sizes, [])
  it.passMs(26)
  assert.equal(sizes, [1])
  for (let i = 0; i < 300; i++) it.end(anExchange({ path: `/${i}`, search: '' }), hooks)
  assert.equal(sizes, [1])
  await turn()
  assert.equal(sizes, [1, 128, 128, 44])
  assert.equal(
    it.paths().slice(1),
    Array.from({ length: 300 }, (_, i) => `/${i}`),
  )
})

test('exchanges with other hooks make batches of their own, on one timer', () => {
  using it = new Told()
  const seen: string[] = []
  const noting = (name: string) => logging((entries) => void seen.push(`${name}${entries.map(({ path }) => path).join('')}`))
  const [first, second] = [[noting('a')], [noting('b')]]
  for (const [path, hooks] of [
    ['/1', first],
    ['/2', second],
    ['/3', first],
  ] as const)
    it.end(anExchange({ path, search: '' }), hooks)
  it.passMs(50)
  assert.equal(seen, ['a/1/3', 'b/2'])
})

test('answers that come late and in any order leave the lines in theirs, at every hook', async () => {
  using it = new Told()
  const [one, two] = [new Held(), new Held()]
  const hooks = [makeHook('one', { onLog: one.pending }), makeHook('two', { onLog: two.pending })]
  for (const path of ['/1', '/2', '/3']) {
    it.end(anExchange({ path, search: '' }), hooks)
    it.passMs(50)
  }
  assert.is(one.calls.length, 3, 'a batch does not wait for the answer about another')
  one.calls[1]!.resume(null)
  one.calls[2]!.resume(null)
  assert.is(two.calls.length, 0)
  one.calls[0]!.resume(null)
  assert.equal(two.calls.map(pathsOf), [['/1'], ['/2'], ['/3']])
  two.calls[2]!.resume(null)
  two.calls[1]!.resume(null)
  assert.equal(it.paths(), [])
  two.calls[0]!.resume(null)
  assert.equal(it.paths(), ['/1', '/2', '/3'])
})

test('an answer counts once, and for the hook that was asked', () => {
  using it = new Told()
  const [one, two] = [new Held(), new Held()]
  it.end(anExchange({ search: '' }), [makeHook('one', { onLog: one.pending }), makeHook('two', { onLog: two.pending })])
  it.passMs(50)
  one.calls[0]!.resume(null)
  one.calls[0]!.resume({ kind: 'entries', entries: [null] })
  assert.equal(it.paths(), [])
  assert.is(one.calls[0]!.ended, true)
  two.calls[0]!.resume(null)
  assert.equal(it.paths(), ['/v1/me'])
})

test('a hook that never answers is not waited for: after half a minute its lines are masked', () => {
  using it = new Told()
  const held = new Held()
  it.end(anExchange({ search: SECRET }), [makeHook('stuck', { onLog: held.pending })])
  it.passMs(50)
  it.passMs(29_000)
  assert.equal(it.paths(), [])
  it.passMs(1_100)
  assert.equal(it.paths(), ['-'])
  assert.match(it.warnings[0]!.text, /it has not answered within 30 s$/)
  held.calls[0]!.resume(null)
  assert.equal(it.paths(), ['-'])
})

test('more than 8,192 lines do not wait: the newest are dropped and counted, and room is made by an answer', async () => {
  using it = new Told()
  const held = new Held()
  const hooks = [makeHook('slow', { onLog: held.pending })]
  for (let i = 0; i < 8_200; i++) it.end(anExchange(), hooks)
  await turn()
  assert.is(it.traffic.linesDropped, 8)
  assert.equal(it.warnings, [{ plugin: 'slow', level: 'warn', text: 'access lines are being dropped: 8192 wait for the answers of onLog' }])
  for (const call of held.calls) call.resume(null)
  assert.is(it.lines().length, 8_192)
  it.end(anExchange(), hooks)
  assert.is(it.traffic.linesDropped, 8)
})

test('metrics are told at once, whatever hooks of the log do', () => {
  using it = new Told()
  it.end(anExchange(), [makeHook('stuck', { onLog: new Held().pending })])
  assert.is(it.count('requests_total'), 1)
})

test('at the end what waits is handed on, and written once it is answered', async () => {
  using it = new Told()
  const held = new Held()
  it.end(anExchange({ search: '' }), [makeHook('late', { onLog: held.pending })])
  const settled = it.traffic.settleLog(60_000)
  await held.call()
  assert.equal(it.paths(), [])
  held.calls[0]!.resume(null)
  await settled
  assert.equal(it.paths(), ['/v1/me'])
  await it.traffic.settleLog(60_000)
})

test('at the end a hook that does not answer in time has its lines masked, those behind them too', async () => {
  using it = new Told()
  const held = new Held()
  const hooks = [logging(() => undefined), makeHook('stuck', { onLog: held.pending })]
  for (const path of ['/1', '/2']) {
    it.end(anExchange({ path, search: SECRET }), hooks)
    it.passMs(50)
  }
  it.end(anExchange({ path: '/3' }), hooks)
  await it.traffic.settleLog(1)
  assert.equal(it.paths(), ['-', '-', '-'])
  assert.ok(held.calls.every(({ ended }) => ended))
})

test('hooks are held as long as lines wait for them, and no longer', () => {
  using it = new Told()
  let holders = 0
  const held = new Held()
  const hooks = [
    makeHook('counted', {
      onLog: held.pending,
      hold: () => {
        holders++
      },
      release: () => {
        holders--
      },
    }),
  ]
  it.end(anExchange(), hooks)
  it.end(anExchange(), hooks)
  assert.is(holders, 1)
  it.passMs(50)
  assert.is(holders, 1)
  held.calls[0]!.resume(null)
  assert.is(holders, 0)
})

test.run()

function pathsOf({ part }: Held['calls'][number]): unknown[] {
  return part?.kind === 'log' ? part.entries.map(({ path }) => path) : []
}
