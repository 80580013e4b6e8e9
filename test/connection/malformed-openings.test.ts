/** Two hundred openings that are none, of SOCKS and of CONNECT, at a port that speaks both: none crashes it, hangs, or leaves anything open. */
import * as fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { forwarding } from '../support/forward.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { type RunningProxy, startProxy } from '../support/proxy.ts'
import { connectTo, connectTo4, credentials, GREETING } from '../support/socks.ts'

const SEED = 20_260_101
const RUNS = 100
const AT_ONCE = 20

const good: Readonly<Record<string, readonly Buffer[]>> = {
  SOCKS: [
    Buffer.concat([GREETING, connectTo('localhost', 1)]),
    Buffer.concat([Buffer.of(5, 1, 2), credentials('ann', 'pw'), connectTo('::1', 1)]),
    Buffer.concat([GREETING, connectTo('0.0.0.0', 0, 3)]),
    connectTo4('127.0.0.1', 1),
    connectTo4('localhost', 1),
  ],
  CONNECT: [
    Buffer.from('CONNECT localhost:1 HTTP/1.1\r\nHost: x\r\n\r\n'),
    Buffer.from('CONNECT [::1]:1 HTTP/1.1\r\nHost: [::1]:1\r\nProxy-Authorization: Basic YW5uOnB3\r\n\r\n\x16\x03\x01'),
  ],
}

/** Bytes changed, cut out, put in, said twice, or broken off; or anything at all behind a first byte that is right. */
function broken(whole: readonly Buffer[]): fc.Arbitrary<Buffer> {
  const change = fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), cut: fc.nat(8), put: fc.uint8Array({ maxLength: 40 }) })
  const changed = fc.tuple(fc.constantFrom(...whole), fc.array(change, { minLength: 1, maxLength: 3 })).map(([bytes, changes]) =>
    changes.reduce((now, { at, cut, put }) => {
      const from = Math.floor(at * now.length)
      return Buffer.concat([now.subarray(0, from), put, now.subarray(from + cut)])
    }, bytes),
  )
  const halved = fc
    .tuple(fc.constantFrom(...whole), fc.double({ min: 0, max: 1, noNaN: true }))
    .map(([bytes, part]) => bytes.subarray(0, Math.floor(part * bytes.length)))
  const twice = fc.constantFrom(...whole).map((bytes) => Buffer.concat([bytes, bytes]))
  const anything = fc
    .tuple(fc.constantFrom(...whole), fc.uint8Array({ maxLength: 2_000 }))
    .map(([bytes, rest]) => Buffer.concat([bytes.subarray(0, 1), rest]))
  return fc.oneof({ weight: 5, arbitrary: changed }, { weight: 2, arbitrary: halved }, twice, { weight: 2, arbitrary: anything })
}

for (const [what, whole] of Object.entries(good)) {
  test(`${RUNS} openings of ${what} that are none are answered or closed, reach nobody, and leave nothing open`, async () => {
    await using origin = await startOrigin(() => answer('in'))
    await using proxy = await startProxy(forwarding({ socks: true, allow: { networks: ['127.0.0.0/8', '::1'] } }, [origin.port]))
    const openings = fc.sample(broken(whole), { seed: SEED, numRuns: RUNS })
    for (let i = 0; i < openings.length; i += AT_ONCE) await Promise.all(openings.slice(i, i + AT_ONCE).map((bytes) => say(proxy, bytes)))
    await proxy.open(0)
    assert.is(origin.connections.length, 0)
    using c = await proxy.connect()
    assert.is((await c.send(`GET http://${origin.address}/ HTTP/1.1\r\nHost: x\r\n\r\n`).response()).text, 'in')
  })
}

test.run()

async function say(proxy: RunningProxy, bytes: Buffer): Promise<void> {
  using c = await proxy.connect()
  if (bytes.length > 0) await c.send(bytes).sent()
  c.end()
  await c.closed()
}
