/** Balancers that go by lot, by what is under way, or by order. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { byFunction } from '../../core/balancer/by-function.ts'
import { firstAvailable } from '../../core/balancer/first-available.ts'
import { leastRequest } from '../../core/balancer/least-request.ts'
import { leastTime } from '../../core/balancer/least-time.ts'
import { PeakAverage } from '../../core/balancer/peak-average.ts'
import { random } from '../../core/balancer/random.ts'
import { ProxyError } from '../../core/errors.ts'
import { assertShares, count, endpointsOf, steadyTools, testBalancer } from '../suites/balancer.ts'

testBalancer('random', random)
testBalancer('leastRequest', (endpoints, tools) => leastRequest(endpoints, { ...tools, choices: 2 }))
testBalancer('leastRequest of five', (endpoints, tools) => leastRequest(endpoints, { ...tools, choices: 5 }))
testBalancer('leastTime', leastTime, { isByWeight: false })
testBalancer('firstAvailable', firstAvailable, { isByWeight: false })
testBalancer('a function', (endpoints) => byFunction(endpoints, () => 0), { isByWeight: false })

test('leastRequest: of two that are drawn the less busy one is picked, so the busiest of three never is', () => {
  const endpoints = endpointsOf([1, 1, 1])
  endpoints[1]!.inFlight = 9
  const counts = count(leastRequest(endpoints, { ...steadyTools(), choices: 2 }), 1000)
  assert.is(counts[1], undefined)
})

test('leastRequest: what is under way settles by the weights, however slow the answers', () => {
  const endpoints = endpointsOf([1, 3, 6])
  const balancer = leastRequest(endpoints, { ...steadyTools(), choices: 2 })
  const underWay: number[] = []
  for (let i = 0; i < 5000; i++) {
    const index = balancer.pick(null)
    endpoints[index]!.inFlight++
    underWay.push(index)
    // The first one answers ten times as slowly as the others.
    if (underWay.length > 100) endpoints[underWay.splice(index === 0 ? 90 : 0, 1)[0]!]!.inFlight--
  }
  const loads = endpoints.map(({ inFlight, weight }) => inFlight / weight)
  assert.ok(Math.max(...loads) - Math.min(...loads) <= 4, String(loads))
})

test('leastTime: the faster one gets nearly all, and the slower one is tried again once its time has faded', () => {
  const endpoints = endpointsOf([1, 1])
  let now = 0
  const balancer = leastTime(
    endpoints,
    steadyTools(() => now),
  )
  endpoints[0]!.time.observe(500, now)
  endpoints[1]!.time.observe(5, now)
  const counts = count(balancer, 1000)
  assert.is(counts[0], undefined)
  assert.is(counts[1], 1000)
  for (; now < 60_000; now += 100) endpoints[1]!.time.observe(5, now)
  assert.is(balancer.pick(null), 0)
})

test('leastTime: twice as slow with nothing under way is as good as twice as fast with one', () => {
  const endpoints = endpointsOf([1, 1])
  const balancer = leastTime(endpoints, steadyTools())
  endpoints[0]!.time.observe(21, 0)
  endpoints[1]!.time.observe(10, 0)
  assert.is(balancer.pick(null), 1)
  endpoints[1]!.inFlight = 1
  assert.is(balancer.pick(null), 1)
  endpoints[1]!.inFlight = 2
  assert.is(balancer.pick(null), 0)
})

test('leastTime: of one that has never answered, one answer is waited for', () => {
  const endpoints = endpointsOf([1, 1])
  const balancer = leastTime(endpoints, steadyTools())
  endpoints[0]!.time.observe(200, 0)
  assert.is(balancer.pick(null), 1)
  endpoints[1]!.inFlight = 1
  for (let i = 0; i < 100; i++) assert.is(balancer.pick(null), 0)
})

test('leastTime: when all are even, it goes by weight', () => {
  const endpoints = endpointsOf([1, 1, 1, 1])
  for (const { time } of endpoints) time.observe(10, 0)
  assertShares(count(leastTime(endpoints, steadyTools()), 20_000), [1, 1, 1, 1], 0.02)
})

test('a peak average follows a slow answer at once and fast ones over ten seconds', () => {
  const time = new PeakAverage()
  assert.ok(time.isUnknown)
  time.observe(10, 0)
  time.observe(1000, 1)
  assert.is(time.at(1), 1000)
  for (let now = 1; now <= 10_000; now += 10) time.observe(10, now)
  assert.ok(time.at(10_000) < 400 && time.at(10_000) > 300, String(time.at(10_000)))
  assert.ok(time.at(100_000) < 1)
})

test('a clock that stands still or jumps back makes no nonsense of an average', () => {
  const time = new PeakAverage()
  time.observe(10, 1000)
  time.observe(5, 900)
  time.observe(0, 900)
  assert.ok(time.at(0) >= 0 && time.at(0) <= 10)
})

test('firstAvailable: the others stand by', () => {
  const balancer = firstAvailable(endpointsOf([0, 1, 1]))
  assert.is(balancer.pick(null), 1)
  assert.is(
    balancer.pick((index) => index !== 1),
    2,
  )
})

test('a function chooses by index among those that it was shown, or by address', () => {
  const endpoints = endpointsOf([1, 0, 1, 1])
  const shown: string[][] = []
  const balancer = byFunction(endpoints, (list) => {
    shown.push(list.map(({ address }) => address))
    return 1
  })
  assert.is(balancer.pick(null), 2)
  assert.is(
    balancer.pick((index) => index !== 2),
    3,
  )
  assert.equal(shown, [
    ['10.0.0.0:80', '10.0.0.2:80', '10.0.0.3:80'],
    ['10.0.0.0:80', '10.0.0.3:80'],
  ])
  assert.is(byFunction(endpoints, () => '10.0.0.3:80').pick(null), 3)
})

test('a function sees the request and what is under way', () => {
  const endpoints = endpointsOf([1, 1])
  const balancer = byFunction(endpoints, (list, request) => list[0]!.inFlight + (request as unknown as { ip: number }).ip)
  assert.is(balancer.pick(null, 0, { view: () => ({ ip: 0 }) }), 0)
  endpoints[0]!.inFlight = 1
  assert.is(balancer.pick(null, 0, { view: () => ({ ip: 0 }) }), 1)
})

test('what a function returns is not believed', () => {
  const wrong = (choose: () => unknown): string => {
    try {
      byFunction(endpointsOf([1, 1]), choose).pick(null)
    } catch (error) {
      assert.instance(error, ProxyError)
      return (error as ProxyError).message
    }
    return 'nothing was thrown'
  }
  assert.is(
    wrong(() => 2),
    'balancer: 2 is none of the 2 endpoints that it was shown',
  )
  assert.is(
    wrong(() => -1),
    'balancer: -1 is none of the 2 endpoints that it was shown',
  )
  assert.is(
    wrong(() => Number.NaN),
    'balancer: null is none of the 2 endpoints that it was shown',
  )
  assert.is(
    wrong(() => '10.9.9.9:80'),
    'balancer: "10.9.9.9:80" is none of the 2 endpoints that it was shown',
  )
  assert.is(
    wrong(() => undefined),
    'balancer: it returned undefined; expected the index of an endpoint, or its address',
  )
  assert.is(
    wrong(() => Promise.reject(new Error('late'))),
    'balancer: it returned a promise; expected the index of an endpoint, or its address',
  )
  assert.is(
    wrong(() => {
      throw new Error('oops')
    }),
    'balancer: oops',
  )
})

test.run()
