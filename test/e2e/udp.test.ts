/** A UDP listener as a user runs it: sockets of the supervisor's, two workers, reloads, a worker that dies, and what is told of it. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { request } from '../support/client.ts'
import { eventually } from '../support/deadline.ts'
import { runCommand, startSluice } from '../support/process.ts'
import { reload } from '../support/reloading.ts'
import { dnsQuery, dnsResponder, udpEnd } from '../support/udp.ts'

function configOf(endpoint: string, more = ''): string {
  return `import { defineConfig, udp, upstream } from 'sluice'
export default defineConfig({
  listeners: {
    dns: udp({ listen: '127.0.0.1:0', routes: [{ name: 'all', ${more} to: upstream('resolvers', { endpoints: ['${endpoint}'] }) }] }),
  },
  admin: { listen: '127.0.0.1:0' },
})
`
}

test('clients are answered by either worker, each always by its own, through a reload and the death of a worker', async () => {
  using echo = await udpEnd(({ bytes }) => [bytes])
  using other = await udpEnd(({ bytes }) => [`other ${bytes.toString()}`])
  await using sluice = await startSluice({ config: configOf(echo.address), args: ['--workers', '2', '--drain', '500ms'] })
  const port = await sluice.port('dns')
  assert.match(await sluice.line(/dns/), /dns udp:\/\/127\.0\.0\.1:\d+$/)
  const clients = await Promise.all(Array.from({ length: 16 }, () => udpEnd()))
  const ask = async (text: string): Promise<string[]> => {
    const before = clients.map(({ received }) => received.length)
    for (const client of clients) client.send(text, port)
    return Promise.all(clients.map(async (client, i) => (await client.datagram(before[i]! + 1)).bytes.toString()))
  }
  assert.equal(new Set(await ask('one')), new Set(['one']))
  assert.equal(new Set(await ask('two')), new Set(['two']))
  // One session each: whoever has a client's first datagram gets the second.
  assert.is(new Set(echo.received.map((datagram) => datagram.port)).size, 16)

  assert.match(await reload(sluice, configOf(other.address)), /1 upstream changed · 0 of 16 connections touched/)
  assert.equal(new Set(await ask('three')), new Set(['three']))

  const admin = await sluice.port('admin')
  const metrics = async (): Promise<string> =>
    (await request(admin, 'GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')).text
  assert.match(await metrics(), /sluice_connections\{listener="dns"\} 16/)
  const { stdout } = await runCommand(['status', '--json'], { folder: sluice.folder, env: { XDG_RUNTIME_DIR: sluice.folder } })
  const { workers } = JSON.parse(stdout) as { workers: readonly { pid: number; connections: number }[] }
  assert.is(
    workers.reduce((sum, { connections }) => sum + connections, 0),
    16,
  )
  assert.ok(workers.every(({ connections }) => connections > 0))

  // Its clients begin anew, by the plan of now; nobody is left without an answer.
  process.kill(workers[0]!.pid, 'SIGKILL')
  const answers = await ask('four')
  assert.equal(new Set(answers), new Set(['four', 'other four']))
  assert.is(answers.filter((text) => text === 'other four').length, workers[0]!.connections)
  await sluice.line(/worker \d is back/)
  assert.equal(new Set(await ask('five')), new Set(['five', 'other five']))
  for (const client of clients) client.close()
})

test('a DNS session has one line in the log, with its datagrams, and is counted', async () => {
  using dns = await dnsResponder('192.0.2.1')
  await using sluice = await startSluice({ config: configOf(dns.address, 'replies: 1,'), args: ['--workers', '1'] })
  using client = await udpEnd()
  const query = dnsQuery(7, 'example.test')
  client.send(query, await sluice.port('dns'))
  assert.equal([...(await client.datagram(1)).bytes.subarray(-4)], [192, 0, 2, 1])
  const line = JSON.parse(await sluice.line(/^\{"time"/)) as Record<string, unknown>
  const { listener, route, upstream, endpoint, protocol, ip, datagramsIn, datagramsOut, reason } = line
  assert.equal([listener, route, upstream, endpoint, protocol, ip], ['dns', 'dns/all', 'resolvers', dns.address, 'UDP', '127.0.0.1'])
  assert.equal([datagramsIn, datagramsOut, line.in, line.out, reason], [1, 1, query.length, query.length + 16, undefined])
  const admin = await sluice.port('admin')
  const counted = await eventually(async () => {
    const { text } = await request(admin, 'GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
    return text.includes('sluice_tunnels_total{listener="dns",route="dns/all"} 1') ? text : undefined
  }, 'the session is counted')
  assert.match(counted, /sluice_received_datagrams_total\{listener="dns",route="dns\/all"\} 1/)
  assert.match(counted, /sluice_sent_datagrams_total\{listener="dns",route="dns\/all"\} 1/)
  assert.match(counted, /sluice_connections\{listener="dns"\} 0/)
})

test.run()
