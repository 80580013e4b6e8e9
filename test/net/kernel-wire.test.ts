/** Wires on descriptors, against sockets of Node on the other side. */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as after, setImmediate as immediate } from 'node:timers/promises'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { StreamHandle } from '../../core/net/bindings.ts'
import { atTurnEnd, EPOLLIN, getKernel } from '../../core/net/kernel.ts'
import { KernelWire } from '../../core/net/kernel-wire.ts'
import { getSocketOptions } from '../../core/net/socket-options.ts'
import { Keeper, readAll } from '../support/keeper.ts'
import { pair } from '../support/wire-pair.ts'

const kernel = getKernel()

test('system calls are to be had on Linux, unless they are refused', () => {
  assert.is(kernel !== null, process.platform === 'linux' && process.env.SLUICE_NO_FFI !== '1')
})

const wherePossible = kernel === null ? test.skip : test

const SHUT_RD = 0
/** Node's own types do not know it yet. */
const dlopen = (path: null, symbols: object): { functions: { shutdown(fd: number, how: number): number } } =>
  createRequire(import.meta.url)('node:ffi').dlopen(path, symbols)

/** struct tcp_info (linux/tcp.h): how many segments have come. */
function segmentsIn(client: net.Socket): number {
  const info = new Uint8Array(256)
  const { fd } = (client as unknown as { _handle: StreamHandle })._handle
  assert.is(getSocketOptions()!.read(fd, { level: 6, name: 11 }, info), 0)
  return new DataView(info.buffer).getUint32(140, true)
}

wherePossible('what is written in any pieces arrives whole and in order at a reader that is slow', () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ head: fc.nat(9000), body: fc.nat(70_000), asText: fc.boolean() }), { minLength: 1, maxLength: 12 }),
      fc.integer({ min: 1, max: 4 }),
      async (writes, times) => {
        await using p = await pair()
        const expected: Buffer[] = []
        for (let turn = 0; turn < times; turn++) {
          for (const [i, { head, body, asText }] of writes.entries()) {
            const text = String.fromCharCode(65 + i).repeat(head)
            const bytes = Buffer.alloc(body + 7, 97 + i)
            const flowing = asText ? p.wire.writeText(text) : p.wire.write(text, bytes, 3, body + 3)
            assert.is(flowing, !p.wire.congested)
            expected.push(Buffer.from(text, 'latin1'), asText ? Buffer.alloc(0) : bytes.subarray(3, body + 3))
          }
        }
        const drained = p.wire.congested
        p.wire.end()
        const whole = Buffer.concat(expected)
        const got = await readAll(p.client)
        assert.is(got.length, whole.length)
        assert.ok(got.equals(whole))
        if (drained) await p.owner.has('drain')
        assert.not(p.wire.congested)
      },
    ),
    { numRuns: 40 },
  ),
)

wherePossible('bytes beyond ASCII leave as they are', async () => {
  await using p = await pair()
  const text = Array.from({ length: 256 }, (_, i) => String.fromCharCode(i)).join('')
  p.wire.writeText(text)
  p.wire.write(text, Buffer.from(text, 'latin1'), 0, 256)
  p.wire.end()
  assert.is((await readAll(p.client)).latin1Slice(), text.repeat(3))
})

wherePossible('reads stop when it is paused, and nothing is lost', async () => {
  for (const ownBuffer of [false, true]) {
    await using p = await pair(ownBuffer)
    const sent = Buffer.alloc(3_000_000, 'abcdefghij')
    let reads = 0
    p.owner.reads = () => {
      if (++reads % 3 !== 0) return
      const before = p.owner.text.length
      p.wire.pause()
      setImmediate(() => {
        assert.is(p.owner.text.length, before)
        p.wire.resume()
      })
    }
    p.wire.resume()
    p.client.end(sent)
    await p.owner.has('end')
    assert.is(p.owner.text.length, sent.length)
    assert.is(p.owner.text, sent.latin1Slice())
  }
})

wherePossible('a side that closed its sending still gets what is written, and the other end is told', async () => {
  await using p = await pair()
  p.wire.resume()
  p.client.end('hello')
  await p.owner.has('end')
  assert.is(p.owner.text, 'hello')
  p.wire.writeText('bye')
  p.wire.finish()
  assert.is((await readAll(p.client)).latin1Slice(), 'bye')
  assert.equal(p.owner.told, ['end', 'close null'])
})

// Mechanism: it is held back to leave with FIN, and a socket that is closed with something unread drops what it has not sent.
wherePossible('what is written last arrives whole, although something came that nobody reads', async () => {
  for (const size of [1, 95, 1000]) {
    await using p = await pair()
    if (p.client.connecting) await once(p.client, 'connect')
    p.wire.expectDetach(true)
    p.client.write('unread')
    await immediate()
    const text = 'abcdefghij'.repeat(size)
    let got = ''
    p.client.setEncoding('latin1').on('data', (part) => {
      got += part
    })
    p.wire.writeLast(text)
    p.wire.finish()
    await new Promise((resolve) => p.client.once('end', resolve).once('close', resolve))
    assert.is(got.length, text.length)
  }
})

wherePossible('what is written last arrives whole where the peer is slow to take it', async () => {
  await using p = await pair()
  const text = 'abcdefghij'.repeat(700_000)
  assert.not(p.wire.writeLast(text))
  p.wire.finish()
  assert.not(p.wire.closed)
  assert.is((await readAll(p.client)).latin1Slice(), text)
})

wherePossible('what is written last leaves in one segment with the end', async () => {
  const segments = async (write: (wire: KernelWire) => void): Promise<number> => {
    await using p = await pair()
    if (p.client.connecting) await once(p.client, 'connect')
    // By itself, as young ones do.
    p.wire.expectDetach(true)
    write(p.wire)
    p.client.resume()
    await once(p.client, 'end')
    return segmentsIn(p.client)
  }
  const apart = await segments((wire) => {
    wire.writeText('x')
    wire.finish()
  })
  const together = await segments((wire) => {
    wire.writeLast('x')
    wire.finish()
  })
  assert.is(apart - together, 1)
})

wherePossible('a reset is told with its name, to a reader at once, to one that is paused when it reads again', async () => {
  for (const paused of [false, true]) {
    await using p = await pair()
    if (!paused) p.wire.resume()
    p.client.write('x')
    p.client.resetAndDestroy()
    await once(p.client, 'close')
    if (paused) p.wire.resume()
    await p.owner.has('close ECONNRESET')
  }
})

wherePossible('a paused wire whose peer is gone costs nothing', async () => {
  await using p = await pair()
  p.wire.resume()
  p.client.write('x')
  await p.owner.waiting.until(() => (p.owner.text === 'x' ? true : undefined), 'x')
  p.wire.pause()
  p.client.resetAndDestroy()
  await once(p.client, 'close')
  const { turns } = kernel!
  for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve))
  assert.ok(kernel!.turns - turns <= 3, `${kernel!.turns - turns} turns`)
})

// Its writes fail with EPIPE, and yet it is writable, and not at its end.
wherePossible('a wire whose peer takes nothing more, but may still send, costs nothing and hears it out', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-wire-'))
  const { functions } = dlopen(null, { shutdown: { arguments: ['int32', 'int32'], return: 'int32' } })
  try {
    await using p = await pair(false, join(folder, 's'))
    p.wire.resume()
    const much = Buffer.alloc(1 << 20)
    assert.not(p.wire.write('', much, 0, much.length))
    assert.is(functions.shutdown((p.client as unknown as { _handle: StreamHandle })._handle.fd, SHUT_RD), 0)
    p.client.resume()
    await once(p.client, 'end')
    await new Promise((resolve) => setImmediate(resolve))
    const { turns } = kernel!
    for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve))
    assert.ok(kernel!.turns - turns <= 3, `${kernel!.turns - turns} turns`)
    p.client.end('bye')
    await p.owner.has('close EPIPE')
    assert.is(p.owner.text, 'bye')
  } finally {
    rmSync(folder, { recursive: true })
  }
})

wherePossible('a write to a peer that is gone fails after the call, and once', async () => {
  await using p = await pair()
  p.client.resetAndDestroy()
  await once(p.client, 'close')
  const told = () => p.owner.told.length
  for (let i = 0; i < 3; i++) p.wire.writeText('x')
  assert.is(told(), 0)
  await p.owner.waiting.until(() => (told() > 0 ? true : undefined), 'closed')
  assert.match(p.owner.told.join(), /^close E(PIPE|CONNRESET)$/)
  assert.ok(p.wire.closed)
})

wherePossible('an end that the peer is not there for any more is told after the call', async () => {
  await using p = await pair()
  p.client.resetAndDestroy()
  await once(p.client, 'close')
  p.wire.end()
  assert.equal(p.owner.told, [])
  await p.owner.has('close ENOTCONN')
})

wherePossible('a descriptor that is used again is told of its own events alone', async () => {
  for (let i = 0; i < 30; i++) {
    await using a = await pair()
    a.wire.resume()
    a.client.write('old')
    a.wire.destroy()
    await using b = await pair()
    b.wire.resume()
    b.client.write('new')
    await b.owner.waiting.until(() => (b.owner.text === 'new' ? true : undefined), 'new')
    assert.is(a.owner.text, '')
  }
})

wherePossible('ticks and promises of one turn are done in it', async () => {
  await using p = await pair()
  const order: string[] = []
  p.owner.reads = () => {
    process.nextTick(() => order.push('tick'))
    void Promise.resolve().then(() => order.push('promise'))
    setImmediate(() => p.owner.tell(order.join()))
  }
  p.wire.resume()
  p.client.write('x')
  await p.owner.has('tick,promise')
})

// The kernel waits in libuv's place: what it did not ask libuv about would stand still.
wherePossible('timers, threads and sockets of the event loop have their turn beside one that is always ready', async () => {
  await using busy = await pair()
  await using idle = await pair()
  let told = 0
  busy.client.write('x')
  kernel!.watch(busy.wire.descriptor, EPOLLIN, { onReady: () => void told++ })
  for (let i = 0; i < 3; i++) {
    await after(1)
    await immediate()
    assert.ok((await readFile(import.meta.filename)).length > 0)
    idle.wire.writeText('hello')
    await once(idle.client, 'data')
  }
  assert.ok(told > 0)
  kernel!.unwatch(busy.wire.descriptor)
})

wherePossible('of what libuv was told may nothing be left: it does not wait for more while our sockets are ready', async () => {
  await using stopped = await pair()
  await using first = await pair()
  await using second = await pair()
  stopped.client.resume()
  for (let i = 0; i < 5; i++) await immediate()
  const { _handle } = stopped.client as unknown as { _handle: { readStop(): void } }
  _handle.readStop()
  // Of the event loop, in libuv's own wait.
  let idleMs = Number.NaN
  first.owner.reads = () => {
    idleMs = performance.nodeTiming.idleTime
    second.client.write('x')
  }
  second.owner.reads = () => {
    idleMs = performance.nodeTiming.idleTime - idleMs
  }
  first.wire.resume()
  second.wire.resume()
  await immediate()
  await immediate()
  stopped.wire.writeText('for nobody')
  first.client.write('x')
  await second.owner.waiting.until(() => (second.owner.text === 'x' ? true : undefined), 'a read')
  assert.ok(idleMs < 5, `${idleMs} ms`)
})

wherePossible('what waits for the end of a turn is done once all that was told at once is served, its ticks with it', async () => {
  await using a = await pair()
  await using b = await pair()
  const order: string[] = []
  for (const { client, owner } of [a, b]) {
    client.write('x')
    owner.reads = () => {
      order.push('read')
      atTurnEnd(() => {
        order.push('end')
        process.nextTick(() => {
          order.push('tick')
          b.owner.waiting.poke()
        })
      })
    }
  }
  await immediate()
  a.wire.resume()
  b.wire.resume()
  await b.owner.waiting.until(() => (order.length === 6 ? true : undefined), 'both')
  assert.equal(order, ['read', 'read', 'end', 'tick', 'end', 'tick'])
})

// It adds what it is to watch when it waits, and then it must not do that without looking at ours.
wherePossible('connections go on when libuv begins to watch something that nothing comes from', async () => {
  await using p = await pair()
  if (p.client.connecting) await once(p.client, 'connect')
  await immediate()
  const { _handle: handle } = p.client as unknown as { _handle: StreamHandle }
  handle.readStop()
  const other = new KernelWire(kernel!, handle, false)
  const owner = new Keeper()
  other.owner = owner
  const silent = net.createServer()
  owner.reads = () => other.writeText('x')
  p.owner.reads = () => {
    if (p.owner.text.length === 5) silent.listen(0, '127.0.0.1')
    p.wire.writeText('x')
  }
  try {
    p.wire.resume()
    other.resume()
    other.writeText('x')
    await p.owner.waiting.until(() => (p.owner.text.length >= 20 ? true : undefined), 'more')
  } finally {
    other.destroy()
    silent.close()
  }
})

wherePossible('the end of a turn outside of any comes when the event loop has served what it knows of', async () => {
  const order: string[] = []
  atTurnEnd(() => order.push('end'))
  order.push('after')
  await immediate()
  assert.equal(order, ['after', 'end'])
})

const CHILD = `
import { getKernel } from '${new URL('../../core/net/kernel.ts', import.meta.url)}'
import { wireOver } from '${new URL('../../core/net/kernel-wire.ts', import.meta.url)}'
process.on('uncaughtException', (error) => console.log('uncaught ' + error.message))
console.log(getKernel() !== null)
const server = net.createServer().listen(0, '127.0.0.1', () => {
  server._handle.onconnection = (_, handle) => {
    const wire = wireOver(handle, false)
    wire.owner = { onBytes() { throw new Error('thrown') }, onDrain() {}, onEnd() { wire.destroy(); server.close() }, onClose() {} }
    wire.resume()
  }
  net.connect(server.address().port, '127.0.0.1').end('x').resume()
})`

wherePossible('an error thrown on the way is as uncaught as any, and a process with nothing left to do ends', () => {
  const args = ['--disable-warning=ExperimentalWarning', '--input-type=module-typescript', '-e', CHILD]
  assert.is(execFileSync(process.execPath, args, { encoding: 'utf8', timeout: 20_000 }), 'true\nuncaught thrown\n')
})

/** A wire that reads bulk by itself, and the buffers that it was told. */
async function bulkReader(done: (wire: KernelWire) => void) {
  const p = await pair(true)
  p.wire.expectDetach(true)
  const buffers: Buffer[] = []
  p.wire.owner.onBytes = (bytes) => {
    buffers.push(bytes)
    done(p.wire)
    p.owner.tell(`read ${buffers.length}`)
  }
  p.wire.resume()
  return {
    wire: p.wire,
    async read(text: string): Promise<Buffer> {
      p.client.write(text)
      await p.owner.has(`read ${buffers.length + 1}`)
      return buffers.at(-1)!
    },
    [Symbol.asyncDispose]: () => p[Symbol.asyncDispose](),
  }
}

wherePossible('bulk is read into one buffer by all who are done with it when they were told', async () => {
  await using first = await bulkReader(() => {})
  await using second = await bulkReader(() => {})
  const buffer = await first.read('one')
  assert.is(await second.read('two'), buffer)
  assert.is(await first.read('three'), buffer)
})

wherePossible('what a wire was told before it paused, or left, or closed, is nobody else’s to read into', async () => {
  const others: Awaited<ReturnType<typeof bulkReader>>[] = [await bulkReader(() => {}), await bulkReader(() => {})]
  try {
    for (const [what, done] of [
      ['paused', (wire) => wire.pause()],
      ['left', (wire) => wire.leaveBuffer()],
      ['closed', (wire) => wire.destroy()],
    ] as [string, (wire: KernelWire) => void][]) {
      await using it = await bulkReader(done)
      const buffer = await it.read(what)
      for (const other of [...others, ...others]) assert.is.not(await other.read('xxxxxxxxxxx'), buffer, what)
      assert.is(buffer.latin1Slice(0, what.length), what)
    }
  } finally {
    for (const other of others) await other[Symbol.asyncDispose]()
  }
})

wherePossible('a wire that is resumed, or closed and given back, has its buffer for others again', async () => {
  await using other = await bulkReader(() => {})
  let pauses = true
  await using resumed = await bulkReader((wire) => pauses && wire.pause())
  const lent = await resumed.read('lent')
  const hot = await other.read('hot')
  assert.is.not(hot, lent)
  pauses = false
  resumed.wire.resume()
  assert.is(await resumed.read('on'), hot)
  await using closed = await bulkReader((wire) => wire.destroy())
  assert.is(await closed.read('last'), hot)
  // Of what nobody has, the one that was had last.
  assert.is(await other.read('spare'), lent)
  closed.wire.recycle()
  closed.wire.recycle()
  await using paused = await bulkReader((wire) => wire.pause())
  assert.is(await paused.read('lent'), lent)
  assert.is(await other.read('recycled'), hot)
})

test.run()
