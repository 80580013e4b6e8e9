/** A forward proxy that is there at some times: who asks at another is told so, by HTTP, in tunnels that are read, and by SOCKS; what is open stays open. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { basic, forwarding } from '../support/forward.ts'
import { askOn, certificateFor, OwnAuthority, openTunnel, secureTunnel, startSecureOrigin } from '../support/interception.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'
import { connectTo, GRANTED, GREETING, replyOf } from '../support/socks.ts'

const [OPEN, CLOSED] = [Date.parse('2026-11-30T12:00:00Z'), Date.parse('2026-11-30T18:00:00Z')]
const office = { days: 'mon-fri', from: '08:00', to: '18:00', zone: 'UTC' } as const

test('requests and tunnels are let through in time, and refused with the rule after it; tunnels that are open stay open', async () => {
  await using origin = await startOrigin(() => answer('in'))
  let now = OPEN
  const options = forwarding({ socks: true, allow: { times: [office] } }, [origin.port])
  await using proxy = await startProxy({ ...options, parts: { clock: () => now } })
  using kept = await proxy.connect()
  const asking = `GET http://${origin.address}/ HTTP/1.1\r\nHost: x\r\n\r\n`
  assert.is((await kept.send(asking).response()).status, 200)
  using tunnel = await proxy.connect()
  await tunnel.send(`CONNECT ${origin.address} HTTP/1.1\r\nHost: x\r\n\r\n`).until('200 Connection established\r\n\r\n')
  using socks = await proxy.connect()
  socks.send(Buffer.concat([GREETING, connectTo('127.0.0.1', origin.port)]))
  assert.is((await socks.bytes(12)).toString('hex'), `0500${GRANTED}`)
  now = CLOSED
  const refused = await kept.send(asking).response()
  assert.is(refused.status, 403)
  assert.match(
    refused.text,
    /does not reach that at this time \(allow\.times\)\.\n127\.0\.0\.1 is reached at other times: mon-fri .*\nreason: time_refused/,
  )
  const { reason, detail } = await proxy.exchange(2)
  assert.equal([reason, detail], ['time_refused', '127.0.0.1 is reached at other times: mon-fri 08:00-18:00 UTC (allow.times[0])'])
  using late = await proxy.connect()
  late.send(Buffer.concat([GREETING, connectTo('127.0.0.1', origin.port)]))
  assert.is((await late.bytes(2)).toString('hex'), '0500')
  assert.is(await replyOf(late), '05020001000000000000')
  assert.is((await proxy.tunnel()).reason, 'time_refused')
  assert.match((await tunnel.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n').response()).text, 'in')
  assert.match((await socks.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n').response()).text, 'in')
})

test('what is asked inside of a tunnel that is read is refused by the time, the name and the user of each request', async () => {
  using authority = new OwnAuthority()
  await using origin = await startSecureOrigin((_, response) => response.end('in'), certificateFor(['video.test']))
  let now = OPEN
  const times = [
    { ...office, users: 'ann' },
    { hosts: 'video.test', from: '12:00', to: '13:00', zone: 'UTC' },
  ]
  const auth = { users: { ann: 'kiwi', bob: 'fig' } }
  const options = forwarding({ ...authority.options(), auth, allow: { times } }, [origin.port])
  await using proxy = await startProxy({ ...options, parts: { clock: () => now } })
  const place = `127.0.0.1:${origin.port}`
  const secure = { ca: authority.cert, servername: 'video.test' }
  const asking = `GET / HTTP/1.1\r\nHost: video.test:${origin.port}\r\nConnection: close\r\n\r\n`
  const early = await secureTunnel(await openTunnel(proxy.port, place, basic('bob', 'fig')), secure)
  assert.match(await askOn(early, asking), /^HTTP\/1\.1 200 /)
  const late = await secureTunnel(await openTunnel(proxy.port, place, basic('bob', 'fig')), secure)
  now = CLOSED
  assert.match(await askOn(late, asking), /^HTTP\/1\.1 403 [\s\S]*reason: time_refused/)
  assert.match(
    String(proxy.ended.at(-1)!.detail),
    /^video\.test is reached at other times: every day 12:00-13:00 UTC \(allow\.times\[1\]\)$/,
  )
})

test.run()
