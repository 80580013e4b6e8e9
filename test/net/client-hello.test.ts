import { once } from 'node:events'
import * as net from 'node:net'
import * as tls from 'node:tls'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readClientHello } from '../../core/net/client-hello.ts'

interface Extension {
  readonly type: number
  readonly body: Buffer
}

const vector = (size: number, body: Buffer): Buffer => {
  const length = Buffer.alloc(size)
  length.writeUIntBE(body.length, 0, size)
  return Buffer.concat([length, body])
}

const serverName = (name: string): Extension => ({
  type: 0,
  body: vector(2, Buffer.concat([Buffer.from([0]), vector(2, Buffer.from(name, 'latin1'))])),
})

function makeHello(extensions: readonly Extension[], sessionId = Buffer.alloc(0)): Buffer {
  const all = extensions.map(({ type, body }) => Buffer.concat([Buffer.from([type >> 8, type & 255]), vector(2, body)]))
  const fixed = Buffer.concat([Buffer.from([3, 3]), Buffer.alloc(32, 7)])
  const lists = [vector(1, sessionId), vector(2, Buffer.from([0x13, 0x01])), vector(1, Buffer.from([0]))]
  return Buffer.concat([Buffer.from([1]), vector(3, Buffer.concat([fixed, ...lists, vector(2, Buffer.concat(all))]))])
}

/** Cuts a message into records of these sizes, the rest in the last one. */
function inRecords(message: Buffer, sizes: readonly number[]): Buffer {
  const records: Buffer[] = []
  let at = 0
  for (const size of [...sizes, 16_384]) {
    if (at >= message.length) break
    records.push(Buffer.from([22, 3, 1]), vector(2, message.subarray(at, at + size)))
    at += size
  }
  return Buffer.concat(records)
}

const name = fc.stringMatching(/^[A-Za-z0-9-]{1,20}(\.[A-Za-z0-9-]{1,20}){0,3}$/)
const other = fc.record({
  type: fc.integer({ min: 1, max: 65_535 }),
  body: fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
})
const sizes = fc.array(fc.integer({ min: 1, max: 90 }), { maxLength: 8 })

test('the name is read wherever it stands, however the hello is cut into records; before its end there is none', () => {
  fc.assert(
    fc.property(
      name,
      fc.array(other, { maxLength: 5 }),
      fc.array(other, { maxLength: 5 }),
      sizes,
      fc.uint8Array({ maxLength: 32 }),
      (asked, before, after, cuts, id) => {
        const hello = inRecords(makeHello([...before, serverName(asked), ...after], Buffer.from(id)), cuts)
        assert.equal(readClientHello(hello), { servername: asked.toLowerCase() })
        assert.equal(readClientHello(Buffer.concat([hello, Buffer.from('\x14\x03\x03')])), { servername: asked.toLowerCase() })
        for (let end = 0; end < hello.length; end++) assert.is(readClientHello(hello.subarray(0, end)), null)
      },
    ),
    { numRuns: 50 },
  )
})

test('a hello that names nobody has no name', () => {
  fc.assert(
    fc.property(fc.array(other), (extensions) => {
      assert.equal(readClientHello(inRecords(makeHello(extensions), [])), { servername: null })
    }),
  )
  assert.equal(readClientHello(inRecords(makeHello([serverName('')]), [])), { servername: null })
})

test('whatever else comes is never an error, and is not waited for without end', () => {
  const start = fc.constantFrom([], [22, 3, 1], [22, 3, 1, 0, 60, 1, 0, 0, 56])
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 300 }), (first, rest) => {
      readClientHello(Buffer.from([...first, ...rest]))
    }),
  )
  assert.equal(readClientHello(Buffer.concat([inRecords(Buffer.from([1, 255, 255, 255]), [])])), { servername: null })
  const endless = inRecords(Buffer.concat([Buffer.from([1, 0, 255, 255]), Buffer.alloc(65_536)]), Array(10).fill(16_000))
  assert.not.equal(readClientHello(endless), null)
  assert.equal(readClientHello(Buffer.from([22, 3, 1, 0, 0])), { servername: null }, 'an empty record')
})

test('reads what node:tls sends', async () => {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  const client = tls.connect({ port, host: '127.0.0.1', servername: 'Api.Example.com' }).on('error', () => {})
  const [accepted] = (await once(server, 'connection')) as [net.Socket]
  const pieces: Buffer[] = []
  for await (const piece of accepted as AsyncIterable<Buffer>) {
    pieces.push(piece)
    const hello = readClientHello(Buffer.concat(pieces))
    if (hello === null) continue
    assert.equal(hello, { servername: 'api.example.com' })
    break
  }
  client.destroy()
  server.close()
})

test.run()
