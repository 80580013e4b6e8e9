/** Reloads leave no plan behind: what keeps one alive is an exchange under way, never an open tunnel or a connection that is idle. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { gatherMaterials } from '../../core/materials.ts'
import type { Plan } from '../../core/plan/plan.ts'
import { type Client, connect } from '../support/client.ts'
import { eventually } from '../support/deadline.ts'
import { collectGarbage } from '../support/garbage.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { makePlan, type ProxyOptions, startProxy } from '../support/proxy.ts'

const ROUNDS = 50
const UPGRADE = 'GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
const GRANT = 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n'

test('fifty reloads with open tunnels and idle connections of each leave two plans alive, at most', async () => {
  await using origin = await startOrigin(() => answer('ok'), {
    onHead: (head) => (head.startLine.includes('/chat') ? GRANT : undefined),
  })
  const options: ProxyOptions = { origin }
  await using proxy = await startProxy(options)
  const plans: WeakRef<Plan>[] = []
  const clients: Client[] = []
  for (let round = 0; round < ROUNDS; round++) {
    takeIntoUse(round)
    // Of this plan: a connection that asked and is idle, one that never asked, one that became a tunnel.
    const [idle, silent, tunnel] = [await connect(proxy.port), await connect(proxy.port), await connect(proxy.port)]
    clients.push(idle, silent, tunnel)
    assert.is((await idle.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n').response()).status, 200)
    assert.is((await tunnel.send(UPGRADE).response()).status, 101)
  }
  await eventually(
    () => {
      collectGarbage()
      return plans.filter((plan) => plan.deref() !== undefined).length <= 2 ? true : undefined
    },
    () => `${plans.filter((plan) => plan.deref() !== undefined).length} plans are alive`,
    10_000,
  )
  assert.is(proxy.runtime.connections, ROUNDS * 3)
  for (const client of clients) client.destroy()

  function takeIntoUse(round: number): void {
    const plan = makePlan(options, round + 2)
    plans.push(new WeakRef(plan))
    proxy.runtime.use(plan, gatherMaterials(plan))
  }
})

test('a listener that is gone keeps its plan no longer than somebody may ask it', async () => {
  await using origin = await startOrigin(() => answer('ok'), {
    onHead: (head) => (head.startLine.includes('/chat') ? GRANT : undefined),
  })
  await using proxy = await startProxy({ origin })
  using tunnel = await connect(proxy.port)
  assert.is((await tunnel.send(UPGRADE).response()).status, 101)
  using idle = await connect(proxy.port, { deadlineMs: 5_000 })
  assert.is((await idle.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n').response()).status, 200)
  const { before, touched } = proxy.runtime.use(...withoutListeners())
  assert.is(touched, 1)
  const gone = Promise.withResolvers<void>()
  before!.retire(() => gone.resolve())
  let isGone = false
  void gone.promise.then(() => {
    isGone = true
  })
  assert.is(isGone, false)
  assert.is(await idle.closed(), 'fin')
  idle.destroy()
  await gone.promise
  assert.is(proxy.runtime.connections, 1)

  function withoutListeners(): [Plan, ReturnType<typeof gatherMaterials>] {
    const plan: Plan = { ...makePlan({ origin }, 2), listeners: [] }
    return [plan, gatherMaterials(plan)]
  }
})

test('an exchange under way counts for the plan it began with, until it has ended', async () => {
  const release = Promise.withResolvers<void>()
  await using origin = await startOrigin(async () => {
    await release.promise
    return answer('late')
  })
  await using proxy = await startProxy({ origin })
  using client = await proxy.connect()
  client.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await eventually(() => (origin.requests.length > 0 ? true : undefined), 'no request')
  const plan = makePlan({ origin }, 2)
  const { before } = proxy.runtime.use(plan, gatherMaterials(plan))
  let gone = 0
  before!.retire(() => gone++)
  assert.equal([before!.open, gone], [1, 0])
  release.resolve()
  assert.is((await client.response()).text, 'late')
  await proxy.exchange()
  assert.equal([before!.open, gone], [0, 1])
})

test.run()
