/** QUIC passed on by the server name in its first packets: nothing of it altered, and nothing sent before the route is decided. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Deadlines } from '../../core/deadlines.ts'
import { type UdpOptions, udp } from '../../core/index.ts'
import { QuicIds } from '../../core/listener/quic-ids.ts'
import { helloMessage } from '../support/client-hello.ts'
import { startProxy } from '../support/proxy.ts'
import { cryptoFrame, datagram, packet, V2 } from '../support/quic-initial.ts'
import { type UdpEnd, udpEnd } from '../support/udp.ts'

const NAME = 'bank.test'
const hello = (serverName: string): Buffer => helloMessage({ serverName, alpn: ['h3'], versions: [0x0304] })
const initial = (serverName: string): Buffer => datagram({ payload: cryptoFrame(0, hello(serverName)) })

/** Two datagrams, as of a hello with post-quantum keys; the first does not hold the name. */
function inTwo(serverName: string): readonly [Buffer, Buffer] {
  const message = hello(serverName)
  const [begin, end] = [cryptoFrame(0, message.subarray(0, 30)), cryptoFrame(30, message.subarray(30))]
  return [datagram({ payload: begin, number: 0 }), datagram({ payload: end, number: 1 })]
}

/** A packet of a server: of its choosing is `id`, by which the client then names it. */
function fromServer(id: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0xe0, 0, 0, 0, 1, 0, id.length]), id, Buffer.alloc(40, 7)])
}

interface Setting {
  readonly bank: UdpEnd
  readonly rest: UdpEnd
  readonly proxy: Awaited<ReturnType<typeof startProxy>>
  forward(ms: number): void
  [Symbol.asyncDispose](): Promise<void>
}

/** `rest` is for what is no QUIC, or of another name; without it there is nobody for that. */
async function start(options: Partial<UdpOptions> = {}, hasRest = true): Promise<Setting> {
  const [bank, rest] = [await udpEnd(), await udpEnd()]
  let now = 1_000
  const deadlines = new Deadlines(50, () => now)
  const routes = [{ name: 'bank', sni: NAME, to: bank.address }, hasRest && { name: 'rest', to: rest.address }]
  const proxy = await startProxy({
    config: { listeners: { edge: udp({ listen: '127.0.0.1:0', routes, ...options }) } },
    parts: { deadlines },
  })
  const forward = (ms: number): void => {
    now += ms
    deadlines.tick()
  }
  const close = async (): Promise<void> => {
    await proxy[Symbol.asyncDispose]()
    bank.close()
    rest.close()
  }
  return { bank, rest, proxy, forward, [Symbol.asyncDispose]: close }
}

test('a connection goes to the endpoint of its name, byte by byte as it came, and back', async () => {
  await using all = await start()
  using c = await udpEnd()
  const first = initial('Bank.Test')
  c.send(first, all.proxy.port)
  const { bytes, port } = await all.bank.datagram(1)
  assert.ok(bytes.equals(first))
  const answer = fromServer(Buffer.from('12345678'))
  all.bank.send(answer, port)
  assert.ok((await c.datagram(1)).bytes.equals(answer))
  const short = Buffer.concat([Buffer.from([0x41]), Buffer.from('12345678'), Buffer.alloc(30, 9)])
  c.send(short, all.proxy.port)
  assert.ok((await all.bank.datagram(2)).bytes.equals(short))
  assert.is(all.bank.received[1]!.port, port)
  all.forward(61_000)
  const { protocol, sni, route, reason, datagramsIn, datagramsOut } = all.proxy.tunnels[0]!
  assert.equal([protocol, sni, route, reason, datagramsIn, datagramsOut], ['QUIC', 'bank.test', 'edge/bank', null, 2, 1])
  assert.is(all.rest.received.length, 0)
})

test('nothing is sent before the hello is whole, then all that came, in its order', async () => {
  await using all = await start()
  using c = await udpEnd()
  const [first, second] = inTwo(NAME)
  const early = packet({ type: 1, payload: Buffer.alloc(40) })
  c.send(first, all.proxy.port).send(early, all.proxy.port)
  // Another client's way there and back: what was sent before it has been read.
  using other = await udpEnd()
  other.send('plain', all.proxy.port)
  await all.rest.datagram(1)
  assert.is(all.bank.received.length, 0)
  c.send(second, all.proxy.port)
  await all.bank.datagram(3)
  assert.ok(all.bank.received.every(({ bytes }, i) => bytes.equals([first, early, second][i]!)))
})

test('another name, another version and what is no QUIC go where no name is asked for', async () => {
  await using all = await start()
  const greased = Buffer.from(initial(NAME))
  greased.writeUInt32BE(0x1a2a3a4a, 1)
  const others = [
    initial('other.test'),
    greased,
    Buffer.from('plain'),
    Buffer.alloc(0),
    Buffer.from([0x41, 1, 2, 3]),
    Buffer.alloc(1_200, 0xff),
  ]
  for (const [i, bytes] of others.entries()) {
    using c = await udpEnd()
    c.send(bytes, all.proxy.port)
    assert.ok((await all.rest.datagram(i + 1)).bytes.equals(bytes))
  }
  assert.is(all.bank.received.length, 0)
})

test('version 2 is read as well', async () => {
  await using all = await start()
  using c = await udpEnd()
  c.send(datagram({ version: V2, payload: cryptoFrame(0, hello(NAME)) }), all.proxy.port)
  await all.bank.datagram(1)
})

test('0-RTT that overtook the first Initial waits for it', async () => {
  await using all = await start()
  using c = await udpEnd()
  c.send(packet({ type: 1, payload: Buffer.alloc(40) }), all.proxy.port)
  c.send(initial(NAME), all.proxy.port)
  await all.bank.datagram(2)
  assert.is(all.rest.received.length, 0)
})

test('a name that nobody has a route for is refused, and told', async () => {
  await using all = await start({}, false)
  using c = await udpEnd()
  c.send(initial('other.test'), all.proxy.port)
  c.send(initial('other.test'), all.proxy.port)
  await all.proxy.datagramDropped()
  all.forward(11_000)
  const { reason, sni, route } = all.proxy.tunnels[0]!
  assert.equal([reason, sni, route], ['no_route', 'other.test', null])
  assert.is(all.bank.received.length, 0)
})

test('half a hello goes nowhere, and its client is let go', async () => {
  await using all = await start()
  using c = await udpEnd()
  c.send(inTwo(NAME)[0], all.proxy.port)
  await all.proxy.open(1)
  all.forward(3_100)
  all.forward(10_100)
  assert.is(all.proxy.tunnels[0]!.reason, 'hello_timeout')
  assert.equal([all.bank.received.length, all.rest.received.length], [0, 0])
  await all.proxy.open(0)
})

test('a broken hello is never passed on', async () => {
  await using all = await start()
  using c = await udpEnd()
  c.send(datagram({ payload: cryptoFrame(0, Buffer.from([1, 0, 0, 2, 3, 3])) }), all.proxy.port)
  await all.proxy.open(1)
  all.forward(3_100)
  all.forward(11_000)
  assert.is(all.proxy.tunnels[0]!.reason, 'bad_hello')
  assert.equal([all.bank.received.length, all.rest.received.length], [0, 0])
})

test('what a client may have waiting for its route is bounded', async () => {
  await using all = await start()
  using c = await udpEnd()
  const [first] = inTwo(NAME)
  for (let i = 0; i < 64; i++) c.send(first, all.proxy.port)
  c.send(first, all.proxy.port)
  assert.is(await all.proxy.datagramDropped(), 'waiting')
  all.forward(11_000)
  assert.is(all.proxy.tunnels[0]!.reason, 'hello_too_large')
  assert.equal([all.bank.received.length, all.rest.received.length], [0, 0])
})

test('a client that comes from another address keeps its endpoint, which sees where it is now', async () => {
  await using all = await start()
  using before = await udpEnd()
  using after = await udpEnd()
  before.send(initial(NAME), all.proxy.port)
  const { port } = await all.bank.datagram(1)
  const id = Buffer.from('chosen-by-us')
  all.bank.send(fromServer(Buffer.from('an older id')), port).send(fromServer(id), port)
  await before.datagram(2)
  const short = Buffer.concat([Buffer.from([0x55]), id, Buffer.alloc(30, 3)])
  after.send(short, all.proxy.port)
  const moved = await all.bank.datagram(2)
  assert.ok(moved.bytes.equals(short))
  assert.is.not(moved.port, port)
  all.bank.send('to the new address', moved.port)
  await after.datagram(1)
  all.forward(61_000)
  assert.equal(
    all.proxy.tunnels.map(({ protocol, sni }) => [protocol, sni]),
    [
      ['QUIC', NAME],
      ['QUIC', NAME],
    ],
  )
})

test('an id is found as long as its connection has it, and no other packet is taken for it', () => {
  const ids = fc.array(fc.uint8Array({ minLength: 1, maxLength: 20 }), { minLength: 1, maxLength: 8 })
  fc.assert(
    fc.property(ids, fc.nat(7), (written, gone) => {
      const known = new QuicIds<number>()
      for (const [owner, id] of written.entries()) known.set(owner, Buffer.from(id))
      known.delete(gone)
      for (const id of written) {
        const bytes = Buffer.concat([Buffer.from([0x40]), id, Buffer.alloc(5)])
        const found = known.find(bytes, bytes.length)
        const isBegunBy = (owner: number): boolean => bytes.subarray(1, 1 + written[owner]!.length).equals(written[owner]!)
        if (found !== null) assert.ok(found !== gone && isBegunBy(found))
        assert.is(known.find(Buffer.concat([Buffer.from([0xc0]), id]), 1 + id.length), null)
      }
      for (const owner of written.keys()) known.delete(owner)
      assert.is(known.find(Buffer.concat([Buffer.from([0x40]), written[0]!, Buffer.alloc(5)]), 26), null)
    }),
  )
})

test.run()
