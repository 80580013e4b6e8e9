/** Lines of FTP through its gateway: what passes, as what, and in which order, wherever the bytes are cut. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { FtpGateway } from '../../core/gateway/ftp.ts'
import type { Step } from '../../core/gateway/gateway.ts'
import { LineReader, TOO_LONG } from '../../core/gateway/lines.ts'

const ANNOUNCED = '192.0.2.1'

/** `> PASV`, `< 200 fine`, `door 5000`, `end 421 …`. */
function shown(step: Step): string {
  if (step.kind === 'say') return `${step.to === 'client' ? '<' : '>'} ${step.line}`
  return step.kind === 'door' ? `door ${step.port}` : `end ${step.line.slice(0, 3)} ${step.reason}: ${step.detail}`
}

function client(gateway: FtpGateway, line: string): readonly string[] | null {
  return gateway.fromClient(line)?.map(shown) ?? null
}

function endpoint(gateway: FtpGateway, line: string): readonly string[] {
  return gateway.fromEndpoint(line).map(shown)
}

/** Greeted. */
function started(announced: string | null = ANNOUNCED): FtpGateway {
  const gateway = new FtpGateway({ announced })
  endpoint(gateway, '220 ready')
  return gateway
}

test('the port of 227 and of 229 is asked for, and another one told with an address of ours', () => {
  const gateway = started()
  assert.equal(client(gateway, 'pasv'), ['> PASV'])
  assert.equal(endpoint(gateway, '227 Entering Passive Mode (10,0,0,9,200,1).'), ['door 51201'])
  assert.equal(gateway.doorOpened(50_000).map(shown), ['< 227 Entering Passive Mode (192,0,2,1,195,80)'])
  for (const line of ['EPSV', 'EPSV 1', 'epsv 2']) {
    assert.equal(client(gateway, line), ['> EPSV'])
    assert.equal(endpoint(gateway, '229 Entering Extended Passive Mode (|||6446|)'), ['door 6446'])
    assert.equal(gateway.doorOpened(50_001).map(shown), ['< 229 Entering Extended Passive Mode (|||50001|)'])
  }
  assert.equal(client(gateway, 'PASV'), ['> PASV'])
  assert.equal(endpoint(gateway, '227 =10,0,0,9,200,2'), ['door 51202'])
  assert.match(gateway.doorOpened(null).map(shown).join(), /^< 425 /)
  assert.equal(client(gateway, 'EPSV ALL'), ['> EPSV ALL'])
  assert.equal(endpoint(gateway, '200 no PORT from now on'), ['< 200 no PORT from now on'])
  assert.match(client(started(null), 'PASV')!.join(), /^< 425 .*EPSV/)
})

test('what would have the server connect elsewhere, or would hide commands, is refused here', () => {
  const gateway = started()
  for (const line of [
    'PORT 10,0,0,1,0,25',
    'port 1,2,3,4,5,6',
    'EPRT |1|10.0.0.1|25|',
    'LPRT 4',
    'SPSV',
    'AUTH TLS',
    'auth ssl',
    'ENC x',
    'MIC x',
  ])
    assert.match(client(gateway, line)!.join(), /^< 502 /, line)
  const odd = [
    ' PORT 1,2,3,4,5,6',
    'PORT\t1,2,3,4,5,6',
    'NOOP\rPORT 1,2,3,4,5,6',
    'PO\xff\xf1RT 1',
    'P@SW',
    'PORTS 1',
    '',
    'NOOP \0',
    '\xff\xfbPORT 1',
  ]
  for (const line of odd) assert.match(client(gateway, line)!.join(), /^< 500 /, JSON.stringify(line))
  for (const line of ['PASV 1', 'EPSV 3', 'EPSV 1 PORT']) assert.match(client(gateway, line)!.join(), /^< 501 /, line)
  assert.equal(client(gateway, 'RETR a\xff\xffb'), ['> RETR a\xff\xffb'])
})

test('a command waits for the answer before it; ABOR and STAT interrupt a transfer', () => {
  const gateway = new FtpGateway({ announced: ANNOUNCED })
  assert.is(client(gateway, 'USER ann'), null)
  endpoint(gateway, '220-hello')
  endpoint(gateway, '220 is no end of it') // it is: the code and a space
  assert.equal(client(gateway, 'RETR a'), ['> RETR a'])
  assert.is(client(gateway, 'PORT 1'), null)
  assert.is(client(gateway, 'ABOR'), null)
  endpoint(gateway, '150 here it comes')
  assert.is(client(gateway, 'QUIT'), null)
  assert.is(client(gateway, 'PORT 1'), null)
  assert.equal(client(gateway, '\xff\xf4\xff\xf2ABOR'), ['> ABOR'])
  endpoint(gateway, '426 broken off')
  assert.equal(client(gateway, 'PASV'), ['> PASV'])
  // Of ABOR: no answer to PASV.
  assert.equal(endpoint(gateway, '226 done'), ['< 226 done'])
  assert.is(client(gateway, 'NOOP'), null)
  assert.equal(endpoint(gateway, '227 (1,1,1,1,8,1)'), ['door 2049'])
  gateway.doorOpened(3000)
  assert.equal(client(gateway, 'PASV'), ['> PASV'])
  assert.equal(endpoint(gateway, '530 who are you?'), ['< 530 who are you?'])
  assert.equal(client(gateway, 'NOOP'), ['> NOOP'])
})

test('lines inside of an answer are text, and 227 that nobody asked for ends it', () => {
  const gateway = started()
  client(gateway, 'STAT')
  for (const line of ['213-files', '227 Entering Passive Mode (10,0,0,1,8,1)', 'anything', ' 213 x', '213 end'])
    assert.equal(endpoint(gateway, line), [`< ${line}`])
  const ends = (line: string, asked: string | null): string => {
    const one = started()
    if (asked !== null) client(one, asked)
    return endpoint(one, line).join()
  }
  assert.match(ends('227 Entering Passive Mode (10,0,0,1,8,1)', null), 'upstream_message')
  assert.match(ends('229 Entering Extended Passive Mode (|||6446|)', 'PASV'), 'upstream_message')
  assert.match(ends('227-Entering Passive Mode (10,0,0,1,8,1)', 'PASV'), 'upstream_message')
  for (const line of [
    '227 (1,1,1,1,256,1)',
    '227 (1,1,1,1,0,25)',
    '227 (1,1,1,8,1)',
    '227 (1,1,1,1,8,1,1)',
    '227 (1,1,1,1,8,1) (2,2,2,2,8,1)',
    '227 ok',
  ])
    assert.match(ends(line, 'PASV'), 'upstream_message', line)
  for (const line of ['229 (|||80|)', '229 (|||65536|)', '229 (||6446|)', '229 (111644611)', '229 (|1|10.0.0.1|6446|)', '229 |||6446|'])
    assert.match(ends(line, 'EPSV'), 'upstream_message', line)
  for (const line of ['HTTP/1.1 200 OK', '99 x', '600 x', '2000', '200 a\rb', '200 a\0', ''])
    assert.match(ends(line, null), 'upstream_message', line)
})

test('lines are the same in any pieces, and one that is too long is found in time', () => {
  const text = fc.array(fc.stringMatching(/^[ -~]{0,40}$/), { maxLength: 12 })
  fc.assert(
    fc.property(text, fc.array(fc.nat(500), { maxLength: 20 }), fc.boolean(), (lines, cuts, isBare) => {
      const bytes = Buffer.from(lines.map((line) => `${line}${isBare ? '\n' : '\r\n'}`).join(''))
      const reader = new LineReader(40)
      const read: (string | symbol)[] = []
      const places = [...new Set([0, ...cuts.filter((cut) => cut < bytes.length), bytes.length])].sort((a, b) => a - b)
      for (const [i, from] of places.slice(0, -1).entries()) {
        const part = bytes.subarray(from, places[i + 1])
        reader.push(part, part.length)
        for (let line = reader.next(); line !== null; line = reader.next()) read.push(line)
      }
      assert.equal(read, lines)
    }),
  )
  for (const [long, expected] of [
    ['x'.repeat(40), null],
    [`${'x'.repeat(40)}\r`, null],
    [`${'x'.repeat(40)}\r\n`, 'x'.repeat(40)],
    ['x'.repeat(42), TOO_LONG],
    [`${'x'.repeat(41)}\n`, TOO_LONG],
  ] as const) {
    const reader = new LineReader(40)
    reader.push(Buffer.from(long), long.length)
    assert.is(reader.next(), expected)
  }
})

test('nothing that a client says has the server connect to elsewhere, and no port is opened that the server did not tell', () => {
  const word = fc.constantFrom(
    'PORT 1,2,3,4,5,6',
    'EPRT |1|1.1.1.1|25|',
    'AUTH TLS',
    'PASV',
    'EPSV',
    'NOOP',
    'STAT',
    'ABOR',
    'RETR a',
    'port',
    '\xff\xf4PORT 1',
  )
  const client = fc.oneof(word, fc.string({ unit: 'binary', maxLength: 20 }))
  const said = fc.constantFrom(
    '200 fine',
    '150 go',
    '226 done',
    '213-x',
    '213 x',
    '426 cut',
    '530 no',
    '227 (1,1,1,1,8,1)',
    '229 (|||2049|)',
  )
  const event = fc.oneof(
    client.map((line) => ({ line, from: 'client' as const })),
    said.map((line) => ({ line, from: 'endpoint' as const })),
  )
  fc.assert(
    fc.property(fc.array(event, { maxLength: 30 }), (events) => {
      const gateway = new FtpGateway({ announced: ANNOUNCED })
      let asked = 0
      for (const { line, from } of events) {
        const steps = (from === 'client' ? gateway.fromClient(line) : gateway.fromEndpoint(line)) ?? []
        for (const step of steps) {
          if (step.kind === 'end') return
          if (step.kind === 'say' && step.to === 'endpoint') {
            assert.match(step.line, /^[A-Za-z]{3,4}(?: |$)/)
            assert.not.match(step.line, /^(?:PORT|EPRT|AUTH)/i)
            assert.not.match(step.line, /[\r\n\0]/)
            if (/^(?:PASV|EPSV)$/.test(step.line)) asked++
          }
          if (step.kind === 'door') {
            assert.is(step.port, 2049)
            assert.ok(asked-- > 0)
            gateway.doorOpened(3000)
          }
        }
      }
    }),
  )
})

test.run()
