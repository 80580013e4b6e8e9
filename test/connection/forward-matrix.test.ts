/** Every way in with every way out: HTTP, CONNECT, SOCKS4, 4a and 5 on one port, to the place itself, by an HTTP parent and by one of SOCKS5. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Client } from '../support/client.ts'
import { forwarding } from '../support/forward.ts'
import { answer, type Origin, startOrigin } from '../support/origin.ts'
import { type RunningProxy, startProxy } from '../support/proxy.ts'
import { connectTo, connectTo4, GRANTED, GREETING, replyOf, socksTo } from '../support/socks.ts'

const get = (target: string) => `GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`

/** Each leaves the client where it can ask, by this target, for what is there. */
const waysIn: Readonly<Record<string, (c: Client, host: string, port: number) => Promise<string>>> = {
  async HTTP(_, host, port) {
    return `http://${host}:${port}/a`
  },
  async CONNECT(c, host, port) {
    const { status } = await c.send(`CONNECT ${host}:${port} HTTP/1.1\r\nHost: x\r\n\r\n`).response({ to: 'CONNECT' })
    assert.is(status, 200)
    return '/a'
  },
  async SOCKS4(c, _, port) {
    c.send(connectTo4('127.0.0.1', port))
    assert.is((await c.bytes(8)).toString('hex'), '005a000000000000')
    return '/a'
  },
  async SOCKS4a(c, host, port) {
    c.send(connectTo4(host, port))
    assert.is((await c.bytes(8)).toString('hex'), '005a000000000000')
    return '/a'
  },
  async SOCKS5(c, host, port) {
    c.send(GREETING)
    await c.bytes(2)
    c.send(connectTo(host, port))
    assert.is(await replyOf(c), GRANTED)
    return '/a'
  },
}

/** The parent, and how it is written; null: there is none. */
const waysOut: Readonly<Record<string, (origin: Origin) => Promise<{ parent: RunningProxy; url: string } | null>>> = {
  directly: async () => null,
  async 'by an HTTP parent'(origin) {
    const parent = await startProxy(forwarding({ auth: { users: { ann: 'pw' } } }, [origin.port]))
    return { parent, url: `http://ann:pw@127.0.0.1:${parent.port}` }
  },
  async 'by a SOCKS5 parent'(origin) {
    const parent = await startProxy(socksTo([origin.port], { auth: { users: { ann: 'pw' } } }))
    return { parent, url: `socks5://ann:pw@127.0.0.1:${parent.port}` }
  },
}

for (const [out, start] of Object.entries(waysOut)) {
  test(`${out}, whatever a client asks by`, async () => {
    await using origin = await startOrigin((request) => answer(`${request.method} ${request.target}`))
    const up = await start(origin)
    const listen = 'localhost:0'
    await using proxy = await startProxy(forwarding({ socks: true, listen, ...(up === null ? {} : { parent: up.url }) }, [origin.port]))
    for (const [way, enter] of Object.entries(waysIn)) {
      using c = await proxy.connect()
      const target = await enter(c, 'localhost', origin.port)
      assert.is((await c.send(get(target)).response()).text, 'GET /a', way)
      c.reset()
    }
    assert.is(origin.requests.length, 5)
    if (up !== null) {
      const users = [...up.parent.ended, ...up.parent.tunnels].map(({ user }) => user)
      assert.equal([...new Set(users)], ['ann'], 'all of it went by the parent')
      await up.parent[Symbol.asyncDispose]()
    }
  })

  test(`${out}, whoever may not be reached is refused in the client's own words`, async () => {
    await using origin = await startOrigin(() => answer('in'))
    const up = await start(origin)
    await using proxy = await startProxy(forwarding({ socks: true, ...(up === null ? {} : { parent: up.url }) }, [origin.port]))
    const refusals: readonly (readonly [text: string | Buffer, says: string])[] = [
      [`CONNECT localhost:22 HTTP/1.1\r\nHost: x\r\n\r\n`, 'HTTP/1.1 403'],
      [get('http://localhost:25/'), 'HTTP/1.1 403'],
      [connectTo4('127.0.0.1', 22), '\x00[\x00\x00\x00\x00\x00\x00'],
      [Buffer.concat([GREETING, connectTo('localhost', 22)]), '\x05\x00\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00'],
    ]
    for (const [text, says] of refusals) {
      using c = await proxy.connect()
      c.send(text)
      assert.ok((await c.until(says.slice(-8))).includes(says))
    }
    assert.equal([origin.connections.length, up?.parent.ended.length ?? 0, up?.parent.tunnels.length ?? 0], [0, 0, 0])
    await up?.parent[Symbol.asyncDispose]()
  })
}

test.run()
