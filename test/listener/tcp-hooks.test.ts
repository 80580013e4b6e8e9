/** Hooks of connections on a TCP listener: asked before a route is chosen, and about every byte. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type TcpOptions, tcp, upstream } from '../../core/index.ts'
import type { ConnectionHooks } from '../../core/plugin.ts'
import { eventually } from '../support/deadline.ts'
import { makeHello } from '../support/hello.ts'
import { type Origin, startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'

const HELLO = makeHello({ serverName: 'bank.test', alpn: ['h2'] })
const deny = { kind: 'deny' } as const
const nothing = () => undefined
const later = () => new Promise((resolve) => setImmediate(resolve))

const raw = (greeting?: string) => startOrigin(undefined, { raw: true, onConnection: () => greeting })
const to = (name: string, origin: Origin) => upstream(name, { endpoints: [origin.address as `${string}:${number}`] })

async function start(use: ConnectionHooks[], routes: TcpOptions['routes'], extra: Origin | null = null) {
  const upstreams = extra === null ? [] : [to('extra', extra)]
  return await startProxy({ config: { upstreams, listeners: { edge: tcp({ listen: ':1', use, routes }) } } })
}

test('a connection is refused by its address before anything is dialled, now or later', async () => {
  for (const wait of [false, true]) {
    await using origin = await raw('hi')
    const seen: unknown[] = []
    await using proxy = await start(
      [
        {
          async onConnection({ ip, port, listener }) {
            seen.push([ip, port > 0, listener])
            if (wait) await later()
            return ip === '127.0.0.9' ? deny : undefined
          },
        },
      ],
      [{ to: to('origin', origin) }],
    )
    // The reset may come before it knows that it is connected.
    await proxy.connect({ localAddress: '127.0.0.9' }).then((refused) => refused.closed(), nothing)
    const { reason, detail, upstream: name } = await proxy.tunnel()
    assert.equal([reason, detail, name], ['connection_denied', 'edge/use[0]', null])
    assert.is(origin.connections.length, 0)
    using welcome = await proxy.connect()
    await welcome.until('hi')
    assert.equal(seen, [
      ['127.0.0.9', true, 'edge'],
      ['127.0.0.1', true, 'edge'],
    ])
    welcome.reset()
    await proxy.open(0)
  }
})

test('a hello is asked about where no route needs it; what hooks keep is one for a connection; first answer wins', async () => {
  await using origin = await raw()
  await using extra = await raw()
  const told: string[] = []
  await using proxy = await start(
    [
      {
        onConnection(conn) {
          conn.state.began = true
        },
        async onClientHello({ serverName, alpn }, conn) {
          await later()
          told.push(`${serverName} ${alpn} ${conn.state.began}`)
          if (serverName === 'evil.test') return deny
          if (serverName === 'extra.test') return { kind: 'routeTo', upstream: 'extra' }
          if (serverName === 'typo.test') return { kind: 'routeTo', upstream: 'extar' }
        },
      },
      {
        onClientHello({ serverName }) {
          told.push(`second ${serverName}`)
        },
      },
    ],
    [{ to: to('origin', origin) }],
    extra,
  )
  const ask = async (serverName: string) => {
    const client = await proxy.connect()
    client.send(makeHello({ serverName, alpn: ['h2'] }))
    return client
  }
  using evil = await ask('evil.test')
  await evil.closed()
  assert.is((await proxy.tunnel()).reason, 'connection_denied')
  using typo = await ask('typo.test')
  await typo.closed()
  assert.equal([(await proxy.tunnel(2)).reason, (await proxy.tunnel(2)).detail], ['unknown_upstream', 'extar'])
  using routed = await ask('extra.test')
  await (await extra.connection()).until(makeHello({ serverName: 'extra.test', alpn: ['h2'] }).toString('latin1'))
  using plain = await ask('bank.test')
  await (await origin.connection()).until(HELLO.toString('latin1'))
  assert.equal(told, ['evil.test h2 true', 'typo.test h2 true', 'extra.test h2 true', 'bank.test h2 true', 'second bank.test'])
  for (const client of [routed, plain]) client.reset()
  await proxy.open(0)
})

test('bytes pass changed, in order and with backpressure, both ways; the end comes behind them', async () => {
  await using origin = await raw()
  const shift = (data: Uint8Array) => data.map((byte) => (byte + 1) & 255)
  await using proxy = await start(
    [
      {
        async onData(data, _, from) {
          await later()
          return from === 'client' ? shift(data) : undefined
        },
      },
      {
        onData(data, { state }, from) {
          state[from] = ((state[from] as number | undefined) ?? 0) + data.length
          return from === 'upstream' ? shift(data) : shift(shift(data))
        },
      },
    ],
    [{ to: to('origin', origin) }],
  )
  using client = await proxy.connect()
  const sent = Buffer.alloc(1_500_000, Buffer.from(Array.from({ length: 251 }, (_, i) => i)))
  client.send(sent).end()
  const connection = await origin.connection()
  const expected = sent.map((byte) => (byte + 3) & 255)
  await eventually(
    () => (connection.received.length >= sent.length ? true : undefined),
    () => `${connection.received.length} bytes`,
    20_000,
  )
  connection.write(Buffer.from([1, 2, 255]))
  assert.equal([...(await client.bytes(3))], [2, 3, 0])
  assert.ok(connection.received.equals(Buffer.from(expected)))
  connection.end()
  const { bytesIn, bytesOut, reason } = await proxy.tunnel()
  assert.equal([bytesIn, bytesOut, reason], [sent.length, 3, null])
  await proxy.open(0)
})

test('bytes that are denied end both sides at once; a hook that throws ends its connection alone', async () => {
  await using origin = await raw()
  await using proxy = await start(
    [
      {
        onData(data) {
          const text = Buffer.from(data).toString('latin1')
          if (text.includes('DROP TABLE')) return deny
          if (text.includes('throw')) throw new Error('no idea')
        },
      },
    ],
    [{ to: to('origin', origin) }],
  )
  using bystander = await proxy.connect()
  bystander.send('hello')
  const kept = await origin.connection()
  await kept.until('hello')
  for (const [i, text] of ['DROP TABLE', 'throw'].entries()) {
    using client = await proxy.connect()
    client.send('fine')
    const connection = await origin.connection(2 + i)
    await connection.until('fine')
    client.send(text)
    await client.closed()
    await connection.closed(2_000)
    assert.is(connection.received.toString('latin1'), 'fine')
    const { reason, detail } = await proxy.tunnel(1 + i)
    assert.match(`${reason} ${detail}`, i === 0 ? /^connection_denied edge\/use\[0\]$/ : /^hook_failed edge\/use\[0\]: no idea/)
  }
  bystander.send(' again')
  await kept.until(' again')
})

test.run()
