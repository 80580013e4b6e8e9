/** First bytes are told apart as soon as that can be, and not one of them is lost on the way to whoever goes on. */
import { once } from 'node:events'
import * as net from 'node:net'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { canUseHandles, type StreamHandle } from '../../core/net/bindings.ts'
import { HandleWire } from '../../core/net/handle-wire.ts'
import { wireOver } from '../../core/net/kernel-wire.ts'
import { type Protocol, peek, recognise } from '../../core/net/peek.ts'
import { SocketWire } from '../../core/net/socket-wire.ts'
import type { AcceptedWire } from '../../core/net/wire.ts'
import { within } from '../support/deadline.ts'

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'

test('one byte tells TLS and most of HTTP/1; HTTP/2 takes its whole preface', () => {
  assert.is(tell('\x16'), 'tls')
  assert.is(tell('GET '), 'http1')
  assert.is(tell('\r\nGET '), 'http1')
  assert.is(tell('P'), null)
  assert.is(tell('PO'), 'http1')
  assert.is(tell('PRI * HTTP/1.1'), 'http1')
  assert.is(tell(PREFACE.slice(0, -1)), null)
  assert.is(tell(PREFACE), 'http2')
  assert.is(tell(`${PREFACE}\0\0`), 'http2')
  assert.is(tell('\0'), 'unknown')
  assert.is(tell('\x80'), 'unknown')
  assert.is(tell(''), null)
})

test('what was told once is not told otherwise when more bytes come', () => {
  const starts = fc.oneof(fc.string({ unit: 'binary-ascii' }), fc.constantFrom(PREFACE, 'POST / HTTP/1.1', '\x16\x03\x01'))
  fc.assert(
    fc.property(starts, fc.string(), (start, rest) => {
      const whole = start + rest
      const told = [...Array(whole.length + 1).keys()].map((length) => tell(whole.slice(0, length)))
      const first = told.findIndex((protocol) => protocol !== null)
      assert.ok(first < 0 || told.slice(first).every((protocol) => protocol === told[first]))
      assert.ok(whole.length < PREFACE.length || first >= 0, 'always told by then')
    }),
  )
})

const carriers: readonly Carrier[] = canUseHandles ? ['kernel', 'handle', 'socket'] : ['socket']
for (const carrier of carriers) {
  for (const [protocol, text] of [
    ['http1', 'POST /a HTTP/1.1\r\nhost: x\r\n\r\n'],
    ['http2', `${PREFACE}\0\0\0\x04\0\0\0\0\0`],
    ['tls', '\x16\x03\x01\x02\0\x01'],
  ] as const) {
    test(`hands on every byte of ${protocol} over a ${carrier}, however they were split`, async () => {
      for (const size of [1, 3, text.length]) {
        await using pair = await connectTo(carrier)
        const found = new Promise<{ protocol: Protocol; received: string }>((resolve, reject) => {
          peek(pair.wire, {
            onRecognised: (protocol, bytes) => collect(pair.wire, bytes, text.length, (received) => resolve({ protocol, received })),
            onGone: () => reject(new Error('closed')),
          })
        })
        for (let at = 0; at < text.length; at += size) await send(pair.client, text.slice(at, at + size))
        assert.equal(await within(found, 'not recognised'), { protocol, received: text })
      }
    })
  }

  test(`tells once that a ${carrier} closed before it said anything`, async () => {
    await using pair = await connectTo(carrier)
    const gone = new Promise<string | null>((resolve, reject) => {
      peek(pair.wire, { onRecognised: (protocol) => reject(new Error(protocol)), onGone: resolve })
    })
    pair.client.end('PRI')
    assert.is(await within(gone, 'not told'), null)
    assert.ok(pair.wire.closed)
  })
}

test.run()

function tell(text: string): Protocol | null {
  return recognise(Buffer.from(text, 'latin1'), text.length)
}

/** A segment of its own: the next one waits until this one has been read by the kernel of the other side. */
async function send(socket: net.Socket, text: string): Promise<void> {
  await new Promise((resolve) => socket.write(text, 'latin1', () => setImmediate(resolve)))
}

function collect(wire: AcceptedWire, bytes: Buffer, length: number, done: (received: string) => void): void {
  let received = bytes.toString('latin1')
  const check = () => received.length >= length && done(received)
  wire.owner = {
    onBytes(more, size) {
      received += more.latin1Slice(0, size)
      check()
    },
    onDrain() {},
    onEnd() {},
    onClose() {},
  }
  wire.resume()
  check()
}

interface Pair extends AsyncDisposable {
  readonly wire: AcceptedWire
  readonly client: net.Socket
}

type Carrier = 'kernel' | 'handle' | 'socket'

async function connectTo(carrier: Carrier): Promise<Pair> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const accepted = new Promise<AcceptedWire>((resolve) => {
    server.on('connection', (socket) => resolve(new SocketWire(socket)))
    if (carrier === 'socket') return
    const { _handle } = server as unknown as { _handle: { onconnection: (error: number, handle: StreamHandle) => void } }
    _handle.onconnection = (_, handle) => resolve(carrier === 'kernel' ? wireOver(handle, false) : new HandleWire(handle, false))
  })
  const { port } = server.address() as net.AddressInfo
  const client = net.connect({ port, host: '127.0.0.1', noDelay: true })
  client.on('error', () => {})
  const wire = await accepted
  return {
    wire,
    client,
    async [Symbol.asyncDispose]() {
      client.destroy()
      if (!wire.closed) wire.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
