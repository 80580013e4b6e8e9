/** UDP by SOCKS5 (RFC 1928 §7): datagrams of one client, each looked at, as long as its connection lives. */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { blocklist } from '../../core/index.ts'
import { readDatagram, wrapDatagram } from '../../core/net/socks-datagram.ts'
import type { Client } from '../support/client.ts'
import { eventually } from '../support/deadline.ts'
import { type RunningProxy, startProxy } from '../support/proxy.ts'
import { connectTo, GREETING, socksTo } from '../support/socks.ts'
import { turnable } from '../support/turnable.ts'

/** A socket on 127.0.0.1 with what it got. */
class Udp implements AsyncDisposable {
  readonly got: { readonly bytes: Buffer; readonly port: number }[] = []
  readonly socket: Socket = createSocket('udp4')
  port = 0

  static async open(answer: ((bytes: Buffer) => Buffer) | null = null): Promise<Udp> {
    const udp = new Udp()
    udp.socket.on('message', (bytes, { address, port }) => {
      udp.got.push({ bytes, port })
      if (answer !== null) udp.socket.send(answer(bytes), port, address)
    })
    udp.socket.bind(0, '127.0.0.1')
    await once(udp.socket, 'listening')
    udp.port = udp.socket.address().port
    return udp
  }

  send(bytes: Uint8Array, port: number): void {
    this.socket.send(bytes, port, '127.0.0.1')
  }

  until(count: number): Promise<true> {
    return eventually(
      () => this.got.length >= count || undefined,
      () => `${count} datagrams; there are ${this.got.length}`,
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.close()
    await once(this.socket, 'close')
  }
}

/** A client that may send datagrams, and where to. */
async function associated(proxy: RunningProxy, port = 0): Promise<{ readonly control: Client; readonly relay: number }> {
  const control = await proxy.connect()
  control.send(Buffer.concat([GREETING, connectTo('0.0.0.0', port, 3)]))
  const answer = await control.bytes(12)
  assert.is(answer.subarray(0, 10).toString('hex'), '0500050000017f000001')
  return { control, relay: answer.readUInt16BE(10) }
}

const echo = (): Promise<Udp> => Udp.open((bytes) => Buffer.concat([Buffer.from('re: '), bytes]))

test('datagrams go to where they say, by address and by name, and the answers come back with whence they came', async () => {
  await using origin = await echo()
  await using client = await Udp.open()
  await using proxy = await startProxy(socksTo([origin.port], { udp: true }))
  const { control, relay } = await associated(proxy)
  client.send(wrapDatagram('127.0.0.1', origin.port, Buffer.from('one')), relay)
  await client.until(1)
  client.send(wrapDatagram('localhost', origin.port, Buffer.from('two')), relay)
  await client.until(2)
  assert.equal(
    client.got.map(({ bytes, port }) => [readDatagram(bytes)?.payload.toString(), port]),
    [
      ['re: one', relay],
      ['re: two', relay],
    ],
  )
  assert.equal(readDatagram(client.got[0]!.bytes)?.destination, { kind: 'ip', host: '127.0.0.1', port: origin.port })
  control.socket.destroy()
  const { protocol, bytesIn, bytesOut, datagramsIn, datagramsOut, reason, detail, user } = await proxy.tunnel()
  assert.equal([protocol, bytesIn, bytesOut, datagramsIn, datagramsOut], ['UDP', 6, 14, 2, 2])
  assert.equal([reason, detail, user], [null, null, null])
  await proxy.open(0)
})

/** What is on its way to sockets of this process has come. */
async function turns(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
}

test('a user’s datagrams go no faster than the user, up and down, and what finds no room to wait is dropped', async () => {
  const { deadlines, turn } = turnable()
  await using origin = await echo()
  await using client = await Udp.open()
  const options = socksTo([origin.port], { udp: true, bandwidth: { up: '4kb', down: '2kb', burst: '4kb' } })
  await using proxy = await startProxy({ ...options, deadlines })
  const { control, relay } = await associated(proxy)
  const send = (count: number, size = 1_000): void => {
    for (let i = 0; i < count; i++) client.send(wrapDatagram('127.0.0.1', origin.port, Buffer.alloc(size, i)), relay)
  }
  // Five with the debt of one, for there are 4,096.
  send(8)
  await origin.until(5)
  await client.until(5)
  await turns()
  assert.equal([origin.got.length, client.got.length], [5, 5])
  turn(1_000)
  await origin.until(8)
  await client.until(6)
  await turns()
  assert.ok(client.got.length <= 7, String(client.got.length))
  for (let i = 0; i < 4 && client.got.length < 8; i++) {
    turn(1_000)
    await turns()
  }
  await client.until(8)
  assert.equal(
    client.got.map(({ bytes }) => readDatagram(bytes)!.payload.at(-1)),
    [0, 1, 2, 3, 4, 5, 6, 7],
  )
  // What waits when the client leaves goes nowhere.
  send(70, 60)
  send(2, 65_000)
  await turns()
  control.socket.destroy()
  const { detail, datagramsIn } = await proxy.tunnel()
  assert.match(detail!, /^\d+ datagrams dropped: its user goes no faster$/)
  assert.ok(Number(datagramsIn) < 80)
  turn(60_000)
  await proxy.open(0)
})

test('each datagram is looked at: ports, addresses, lists, form', async () => {
  await using origin = await echo()
  await using client = await Udp.open()
  await using proxy = await startProxy(socksTo([origin.port], { udp: true, block: blocklist({ hosts: 'blocked.test' }) }))
  const { control, relay } = await associated(proxy)
  const good = wrapDatagram('127.0.0.1', origin.port, Buffer.from('x'))
  const fragment = Buffer.from(good)
  fragment[2] = 1
  const bad = [
    wrapDatagram('127.0.0.1', 53, Buffer.from('x')),
    wrapDatagram('169.254.169.254', origin.port, Buffer.from('x')),
    wrapDatagram('blocked.test', origin.port, Buffer.from('x')),
    wrapDatagram('nowhere.invalid', origin.port, Buffer.from('x')),
    fragment,
    good.subarray(0, 7),
    Buffer.alloc(0),
  ]
  for (const bytes of bad) client.send(bytes, relay)
  client.send(good, relay)
  await client.until(1)
  assert.is(origin.got.length, 1)
  control.socket.destroy()
  const { detail } = await proxy.tunnel()
  assert.match(detail!, /^[67] datagrams dropped: port_refused: port 53 is not in allow\.ports$/)
})

test('nobody else uses the address, and nothing comes in that was not asked for', async () => {
  await using origin = await echo()
  await using client = await Udp.open()
  await using stranger = await Udp.open()
  await using proxy = await startProxy(socksTo([origin.port], { udp: true }))
  const { control, relay } = await associated(proxy, client.port)
  const wrapped = wrapDatagram('127.0.0.1', origin.port, Buffer.from('x'))
  stranger.send(wrapped, relay)
  client.send(wrapped, relay)
  await client.until(1)
  const outside = origin.got[0]!.port
  // Straight to where the proxy sends from: not an address that the client has sent to.
  stranger.send(Buffer.from('unasked'), outside)
  client.send(wrapped, relay)
  await client.until(2)
  assert.equal([origin.got.length, stranger.got.length, client.got.length], [2, 0, 2])
  control.socket.destroy()
  await proxy.tunnel()
})

test('without a datagram for long it ends, its connection too', async () => {
  await using proxy = await startProxy(socksTo([443], { udp: true, timeouts: { udpIdle: '50ms' } }))
  const { control } = await associated(proxy)
  await control.closed()
  assert.is((await proxy.tunnel()).reason, 'tunnel_idle')
  await proxy.open(0)
})

test('where it is not offered it is refused', async () => {
  await using proxy = await startProxy(socksTo([443]))
  using c = await proxy.connect()
  c.send(Buffer.concat([GREETING, connectTo('0.0.0.0', 0, 3)]))
  assert.is((await c.bytes(12)).toString('hex'), '050005070001000000000000')
  assert.is((await proxy.tunnel()).reason, 'unsupported_socks')
})

test('datagrams of any bytes are read or dropped', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (bytes, isPlausible) => {
      const datagram = Buffer.from(isPlausible ? [0, 0, 0, 1, ...bytes] : bytes)
      const read = readDatagram(datagram)
      if (read !== null) assert.ok(read.payload.length <= datagram.length - 10)
    }),
  )
})

test.run()
