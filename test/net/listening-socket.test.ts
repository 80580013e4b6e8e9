/** Connections that are taken off listening sockets by system calls of our own, against clients of Node. */
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as immediate } from 'node:timers/promises'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { BareSocket } from '../../core/net/bare-socket.ts'
import { HandleWire } from '../../core/net/handle-wire.ts'
import { getKernel, type Kernel } from '../../core/net/kernel.ts'
import { KernelWire } from '../../core/net/kernel-wire.ts'
import { ListeningSocket } from '../../core/net/listening-socket.ts'
import { Waiting } from '../support/deadline.ts'
import { Keeper, readAll } from '../support/keeper.ts'
import { bind, type ListenPlace, listen } from '../support/listening.ts'

const kernel = getKernel()
const wherePossible = kernel === null ? test.skip : test
const BACKLOG = 4096
const RLIMIT_NOFILE = 7
const EMFILE = 24

/** Node's own types do not know it yet. */
interface Libc {
  dup(fd: number): number
  getrlimit(what: number, limit: Uint8Array): number
  setrlimit(what: number, limit: Uint8Array): number
}

function libc(): Libc {
  const { dlopen } = createRequire(import.meta.url)('node:ffi') as { dlopen(path: null, symbols: object): { functions: Libc } }
  const limit = { arguments: ['int32', 'buffer'], return: 'int32' }
  return dlopen(null, { dup: { arguments: ['int32'], return: 'int32' }, getrlimit: limit, setrlimit: limit }).functions
}

/** What was accepted, and what each connection has said since. */
class Accepted {
  readonly sockets: BareSocket[] = []
  readonly wires: KernelWire[] = []
  readonly owners: Keeper[] = []
  readonly #waiting = new Waiting()

  /** `takes`: each becomes a wire that reads. */
  constructor(socket: ListeningSocket, takes = true) {
    socket.accepted = (accepted) => {
      this.sockets.push(accepted)
      if (takes) this.#take(accepted)
      this.#waiting.poke()
    }
  }

  #take(accepted: BareSocket): void {
    const wire = new KernelWire(kernel!, accepted, false)
    const owner = new Keeper()
    wire.owner = owner
    this.wires.push(wire)
    this.owners.push(owner)
    wire.resume()
  }

  async count(count: number): Promise<void> {
    await this.#waiting.until(
      () => (this.sockets.length >= count ? true : undefined),
      () => `${this.sockets.length} of ${count} are accepted`,
    )
  }

  close(): void {
    for (const wire of this.wires) wire.destroy()
    for (const socket of this.sockets) socket.close()
  }
}

async function connected(place: ListenPlace): Promise<net.Socket> {
  const client = net.connect({ ...place, allowHalfOpen: true, noDelay: true })
  client.on('error', () => {})
  await once(client, 'connect')
  return client
}

const openDescriptors = (): number => readdirSync('/proc/self/fd').length

wherePossible('many that connect at once are all accepted, some in each turn, each with its own address', async () => {
  const { handle, place } = await bind('127.0.0.1')
  kernel!.sockets.listen(handle.fd, BACKLOG)
  // They wait in the queue: nobody accepts yet.
  const clients = await Promise.all(Array.from({ length: 100 }, () => connected(place)))
  const socket = new ListeningSocket(kernel!, handle, BACKLOG)
  const accepted = new Accepted(socket, false)
  const byTurn = new Map<number, number>()
  const { accepted: take } = socket
  socket.accepted = (one) => {
    byTurn.set(kernel!.turns, (byTurn.get(kernel!.turns) ?? 0) + 1)
    take(one)
  }
  await accepted.count(clients.length)
  assert.equal(
    accepted.sockets.map(({ peer }) => `${peer.address} ${peer.port}`),
    clients.map(({ localPort }) => `127.0.0.1 ${localPort}`),
  )
  assert.ok(Math.max(...byTurn.values()) <= 32, `${[...byTurn.values()]}`)
  assert.ok(byTurn.size >= 4)
  for (const client of clients) client.destroy()
  accepted.close()
  socket.close()
})

wherePossible('addresses of both families, mapped ones as IPv4, and of unix sockets none', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-listen-'))
  const visit = async (where: string, to: (place: ListenPlace) => ListenPlace): Promise<string> => {
    const { socket, place } = await listen(where)
    const accepted = new Accepted(socket)
    const client = await connected(to(place))
    await accepted.count(1)
    const { source, destination } = accepted.wires[0]!.facts()
    const { remoteAddress, remotePort } = accepted.wires[0]!
    assert.is(remotePort, client.localPort ?? 0)
    client.destroy()
    accepted.close()
    socket.close()
    return `${remoteAddress} ${source?.ip} ${destination?.ip} ${destination?.port === ('port' in place ? place.port : undefined)}`
  }
  try {
    assert.is(await visit('::', (place) => ({ ...place, host: '127.0.0.1' })), '127.0.0.1 127.0.0.1 127.0.0.1 true')
    assert.is(await visit('::', (place) => ({ ...place, host: '::1' })), '::1 ::1 ::1 true')
    assert.is(await visit(join(folder, 's'), (place) => place), ' undefined undefined true')
  } finally {
    rmSync(folder, { recursive: true })
  }
})

wherePossible('one that was reset before it was accepted has its address, and is told to be gone', async () => {
  const { handle, place } = await bind('127.0.0.1')
  kernel!.sockets.listen(handle.fd, BACKLOG)
  const gone = await connected(place)
  const port = gone.localPort
  gone.write('x')
  gone.resetAndDestroy()
  await once(gone, 'close')
  const client = await connected(place)
  const before = openDescriptors()
  const socket = new ListeningSocket(kernel!, handle, BACKLOG)
  const accepted = new Accepted(socket)
  await accepted.count(2)
  assert.is(accepted.wires[0]!.remotePort, port)
  assert.is(accepted.wires[0]!.facts().destination?.ip, '127.0.0.1')
  await accepted.owners[0]!.has('close ECONNRESET')
  client.end('hello')
  await accepted.owners[1]!.has('end')
  accepted.close()
  assert.is(openDescriptors(), before)
  client.destroy()
  socket.close()
})

wherePossible('without descriptors it rests, says so once, and goes on by itself: who waits is accepted then', async () => {
  const { handle, place } = await bind('127.0.0.1')
  kernel!.sockets.listen(handle.fd, BACKLOG)
  const clients = await Promise.all(Array.from({ length: 5 }, () => connected(place)))
  const calls = libc()
  const limit = new Uint8Array(16)
  const before = new Uint8Array(16)
  assert.is(calls.getrlimit(RLIMIT_NOFILE, before), 0)
  limit.set(before)
  // The first number that is free, and all above it, are not to be had.
  const free = calls.dup(0)
  kernel!.sockets.close(free)
  new DataView(limit.buffer).setBigUint64(0, BigInt(free), true)
  const socket = new ListeningSocket(kernel!, handle, BACKLOG)
  const accepted = new Accepted(socket)
  const failed: string[] = []
  const waiting = new Waiting()
  socket.failed = (error) => {
    failed.push(error)
    waiting.poke()
  }
  assert.is(calls.setrlimit(RLIMIT_NOFILE, limit), 0)
  try {
    await waiting.until(() => failed[0], 'a failure')
    const { turns } = kernel!
    for (let i = 0; i < 50; i++) await immediate()
    // It tries again now and then; without a rest it would in each of them.
    assert.ok(kernel!.turns - turns <= 25, `${kernel!.turns - turns} turns`)
    assert.is(accepted.sockets.length, 0)
  } finally {
    calls.setrlimit(RLIMIT_NOFILE, before)
  }
  await accepted.count(clients.length)
  assert.equal(failed, ['EMFILE'])
  for (const client of clients) client.destroy()
  accepted.close()
  socket.close()
})

wherePossible('one that is closed while it rests does not begin again', async () => {
  const { handle, place } = await bind('127.0.0.1')
  const { sockets } = kernel!
  const calls = Object.assign(Object.create(sockets) as typeof sockets, {
    listen: (fd: number) => sockets.listen(fd, BACKLOG),
    ownName: (fd: number) => sockets.ownName(fd),
    accept: () => -EMFILE,
  })
  const failing = {
    sockets: calls,
    watch: (...args: Parameters<Kernel['watch']>) => kernel!.watch(...args),
    unwatch: (fd: number) => kernel!.unwatch(fd),
  } as unknown as Kernel
  const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
  const before = timers()
  const socket = new ListeningSocket(failing, handle, BACKLOG)
  let closed = 0
  socket.closed = () => closed++
  const resting = new Promise<number>((resolve) => {
    socket.failed = () => resolve(timers())
  })
  const waits = await connected(place)
  assert.is(await resting, before + 1)
  socket.close()
  socket.close()
  assert.is(timers(), before)
  assert.is(closed, 1)
  waits.destroy()
})

wherePossible('of those who connect while one process goes and another comes nobody is lost', async () => {
  const { handle, place } = await bind('127.0.0.1')
  // As the supervisor's copy, and those of two workers.
  const copies = [libc().dup(handle.fd), libc().dup(handle.fd)].map((fd) => ({ fd, close: () => kernel!.sockets.close(fd) }))
  const answer = (who: string) => (bare: BareSocket) => {
    const wire = new KernelWire(kernel!, bare, false)
    wire.owner = { onBytes: () => {}, onDrain() {}, onEnd() {}, onClose() {} }
    wire.writeText(who)
    wire.finish()
  }
  const first = new ListeningSocket(kernel!, copies[0]!, BACKLOG)
  first.accepted = answer('first')
  let second: ListeningSocket | null = null
  const heard = new Map<string, number>()
  await Promise.all(
    Array.from({ length: 120 }, async (_, i) => {
      for (let turn = 0; turn < i % 12; turn++) await immediate()
      const client = await connected(place)
      const who = (await readAll(client)).latin1Slice()
      client.destroy()
      heard.set(who, (heard.get(who) ?? 0) + 1)
      if (i !== 20) return
      first.close()
      await immediate()
      second = new ListeningSocket(kernel!, copies[1]!, BACKLOG)
      second.accepted = answer('second')
    }),
  )
  assert.is((heard.get('first') ?? 0) + (heard.get('second') ?? 0), 120)
  assert.ok(heard.get('second')! > 0)
  ;(second as ListeningSocket | null)?.close()
  handle.close()
})

wherePossible('whoever has it given a handle goes on with that one, and it is closed once', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-listen-'))
  try {
    for (const where of ['127.0.0.1', join(folder, 's')]) {
      const { socket, place } = await listen(where)
      const accepted = new Accepted(socket)
      const client = await connected(place)
      await accepted.count(1)
      accepted.wires[0]!.pause()
      const wire = new HandleWire(accepted.wires[0]!.detachHandle(), false)
      const owner = new Keeper()
      wire.owner = owner
      // Its descriptor is somebody else's.
      accepted.sockets[0]!.close()
      wire.resume()
      client.write('hello')
      await owner.waiting.until(() => (owner.text === 'hello' ? true : undefined), 'hello')
      wire.writeText('bye')
      wire.end()
      assert.is((await readAll(client)).latin1Slice(), 'bye')
      assert.throws(() => accepted.sockets[0]!.toHandle(), 'has no handle')
      client.destroy()
      wire.destroy()
      socket.close()
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
})

wherePossible('a wire that is reset tells its peer so', async () => {
  const { socket, place } = await listen('127.0.0.1')
  const accepted = new Accepted(socket)
  const client = net.connect(place)
  await accepted.count(1)
  accepted.wires[0]!.reset()
  const [error] = (await once(client, 'error')) as [NodeJS.ErrnoException]
  assert.is(error.code, 'ECONNRESET')
  socket.close()
})

// The number of a descriptor is given again as soon as it is closed, often within the same turn.
wherePossible('whatever clients do, and whoever closes: each connection gets its own bytes alone, and no descriptor is left', () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          says: fc.nat(3),
          client: fc.constantFrom('ends', 'resets', 'stays'),
          server: fc.constantFrom('destroys', 'resets', 'finishes', 'waits'),
          turns: fc.nat(3),
        }),
        { minLength: 1, maxLength: 24 },
      ),
      async (visits) => {
        const { socket, place } = await listen('127.0.0.1')
        const accepted = new Accepted(socket)
        const before = openDescriptors()
        const take = socket.accepted
        const clients: net.Socket[] = []
        socket.accepted = (bare) => {
          take(bare)
          const wire = accepted.wires.at(-1)!
          const visit = visits[accepted.wires.length - 1]!
          if (visit.server === 'destroys') wire.destroy()
          if (visit.server === 'resets') wire.reset()
          if (visit.server !== 'finishes') return
          wire.writeText('bye')
          wire.finish()
        }
        const wordOf = (i: number): string => String.fromCharCode(65 + i).repeat(visits[i]!.says)
        for (const [i, { client: does, turns }] of visits.entries()) {
          const client = net.connect({ ...place, allowHalfOpen: true, noDelay: true })
          clients.push(client)
          client.on('error', () => {})
          // It may be reset before it knows that it is connected.
          await once(client, 'connect').catch(() => {})
          const word = wordOf(i)
          if (does === 'ends') client.end(word)
          else client.write(word)
          if (does === 'resets') client.resetAndDestroy()
          for (let turn = 0; turn < turns; turn++) await immediate()
        }
        await accepted.count(visits.length)
        for (let turn = 0; turn < 5; turn++) await immediate()
        for (const [i, owner] of accepted.owners.entries()) {
          assert.ok(wordOf(i).startsWith(owner.text), `${owner.text} of ${wordOf(i)}`)
        }
        const closed = clients.map((client) => (client.closed ? null : once(client, 'close')))
        for (const client of clients) client.destroy()
        await Promise.all(closed)
        accepted.close()
        assert.is(openDescriptors(), before)
        socket.close()
      },
    ),
    { numRuns: 40 },
  ),
)

test.run()
