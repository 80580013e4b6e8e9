/** FTP through its gateway: passive transfers both ways, who may come for data, and what ends with what. */
import { execFile, execFileSync } from 'node:child_process'
import { createServer } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Deadlines } from '../../core/deadlines.ts'
import { type Config, type FtpOptions, ftp, tcp } from '../../core/index.ts'
import { type Client, connect } from '../support/client.ts'
import { type FtpServer, type FtpServerOptions, startFtp } from '../support/ftp.ts'
import { type RunningProxy, startProxy } from '../support/proxy.ts'
import { turnable } from '../support/turnable.ts'

interface Both extends AsyncDisposable {
  readonly server: FtpServer
  readonly proxy: RunningProxy
}

function configOf(server: FtpServer, options: FtpOptions = {}): { readonly config: Config } {
  return { config: { listeners: { files: tcp({ listen: ':1', gateway: ftp(options), routes: [{ to: `tcp://${server.address}` }] }) } } }
}

async function start(options: FtpOptions = {}, more: FtpServerOptions & { readonly deadlines?: Deadlines } = {}): Promise<Both> {
  const server = await startFtp(more)
  const proxy = await startProxy({ ...configOf(server, options), ...(more.deadlines && { deadlines: more.deadlines }) })
  const close = async (): Promise<void> => {
    await proxy[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
  }
  return { server, proxy, [Symbol.asyncDispose]: close }
}

async function greeted(proxy: RunningProxy): Promise<Client> {
  const client = await proxy.connect()
  assert.is(await client.until('\r\n'), '220 ready\r\n')
  return client
}

async function ask(client: Client, command: string): Promise<string> {
  return await client.send(`${command}\r\n`).until('\r\n')
}

async function dataPort(client: Client, command: 'PASV' | 'EPSV'): Promise<number> {
  const answer = await ask(client, command)
  const [, high, low, port] = /^227 .*\(127,0,0,1,(\d+),(\d+)\)|^229 .*\(\|\|\|(\d+)\|\)/.exec(answer) ?? []
  assert.ok((high ?? port) !== undefined, answer)
  return port === undefined ? Number(high) * 256 + Number(low) : Number(port)
}

for (const command of ['PASV', 'EPSV'] as const)
  test(`${command}: LIST, RETR of a megabyte and STOR by ports of the proxy's, and one line in the log`, async () => {
    await using both = await start()
    const { server, proxy } = both
    const big = Buffer.alloc(1 << 20, 'abcdefg')
    server.files.set('big', big)
    using c = await greeted(proxy)
    const sizes: number[] = []
    for (const [asked, expected] of [
      ['LIST', Buffer.from('a.txt\r\nbig\r\n')],
      ['RETR big', big],
    ] as const) {
      using data = await connect(await dataPort(c, command))
      assert.is(await ask(c, asked), '150 here it comes\r\n')
      assert.ok((await data.bytes(expected.length)).equals(expected))
      data.end()
      assert.is(await c.until('\r\n'), '226 sent\r\n')
      sizes.push(expected.length)
    }
    using data = await connect(await dataPort(c, command))
    assert.is(await ask(c, 'STOR up'), '150 go on\r\n')
    data.send('what comes up').end()
    assert.is(await c.until('\r\n'), '226 stored\r\n')
    assert.is(server.files.get('up')!.toString(), 'what comes up')
    assert.is(await ask(c, 'QUIT'), '221 bye\r\n')
    c.end()
    const { route, reason, detail, bytesIn, bytesOut } = await proxy.tunnel()
    assert.equal([route, reason, detail], ['files[0]', null, '3 data connections'])
    assert.is(bytesIn, Buffer.byteLength(`${`${command}\r\n`.repeat(3)}LIST\r\nRETR big\r\nSTOR up\r\nQUIT\r\nwhat comes up`))
    assert.ok(bytesOut > (1 << 20) + sizes[0]!)
    await proxy.open(0)
  })

test('pipelined commands keep their order, and what is refused never reaches the server', async () => {
  const welcome = '230-welcome\r\n227 Entering Passive Mode (1,1,1,1,9,9)\r\n230 in'
  await using both = await start({}, { answers: (command) => (command.startsWith('PASS') ? welcome : undefined) })
  const { server, proxy } = both
  using c = await greeted(proxy)
  c.send('USER ann\r\nPORT 10,0,0,1,0,25\r\nPASS x\r\nEPRT |1|10.0.0.1|25|\r\nAUTH TLS\r\nP@SW\r\nPWD\r\nQUIT\r\n')
  const told = await c.until('221 bye\r\n')
  const codes = told.split('\r\n').map((line) => line.slice(0, 4))
  // The answer to PASS is one of three lines; that one looks like 227 opens nothing.
  assert.equal(codes, ['331 ', '502 ', '230-', '227 ', '230 ', '502 ', '502 ', '500 ', '257 ', '221 ', ''])
  assert.equal(server.commands, ['USER ann', 'PASS x', 'PWD', 'QUIT'])
})

test('data goes to the address of the control connection, whatever 227 says, and only for the client', async () => {
  await using both = await start({ address: '203.0.113.5' })
  const { server, proxy } = both
  using c = await greeted(proxy)
  const answer = await ask(c, 'PASV')
  const [, high, low] = /^227 Entering Passive Mode \(203,0,113,5,(\d+),(\d+)\)\r\n$/.exec(answer)!
  const port = Number(high) * 256 + Number(low)
  using stranger = await connect(port, { localAddress: '127.0.0.2' })
  await stranger.closed()
  assert.is(server.came, 0)
  using data = await connect(port)
  await ask(c, 'RETR a.txt')
  assert.is((await data.bytes(7)).toString(), 'hello\r\n')
  data.end()
  await c.until('226 sent\r\n')
  // Good for one connection.
  await assertRefused(port)
})

test('a port is of the range, passes over those that are taken, and when none is left that is told', async () => {
  const taken = createServer()
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
  const { port } = taken.address() as { readonly port: number }
  try {
    await using both = await start({ passivePorts: `${port}-${port}` })
    using c = await greeted(both.proxy)
    assert.match(await ask(c, 'PASV'), /^425 /)
    assert.match(await ask(c, 'EPSV'), /^425 /)
    await new Promise((resolve) => taken.close(resolve))
    assert.is(await dataPort(c, 'PASV'), port)
    // The port of the answer before is given back first.
    assert.match(await ask(c, 'EPSV'), /^229 /)
  } finally {
    taken.close()
  }
})

test('a port that nobody comes to is closed after 30 s, and one whose client is gone at once', async () => {
  const { deadlines, turn } = turnable()
  await using both = await start({}, { deadlines })
  using c = await greeted(both.proxy)
  const port = await dataPort(c, 'EPSV')
  const openBefore = both.proxy.descriptors
  turn(29_000)
  assert.is(both.proxy.descriptors, openBefore)
  turn(1_200)
  assert.is(both.proxy.descriptors, openBefore - 1)
  await assertRefused(port)
  const other = await dataPort(c, 'EPSV')
  using data = await connect(other)
  await ask(c, 'STOR up')
  data.send('half')
  c.socket.resetAndDestroy()
  await data.closed()
  await both.proxy.open(0)
  await assertRefused(other)
})

test('one client has eight data connections at most', async () => {
  await using both = await start()
  using c = await greeted(both.proxy)
  const open: Client[] = []
  try {
    for (let i = 0; i < 8; i++) {
      open.push(await connect(await dataPort(c, 'EPSV')))
      await both.server.eventually('data connection', () => (both.server.came > i ? true : undefined))
      await ask(c, 'NOOP')
    }
    assert.match(await ask(c, 'EPSV'), /^425 /)
    await both.proxy.open(2 + 8 * 2)
  } finally {
    for (const one of open) one.socket.destroy()
  }
  await both.proxy.open(2)
  assert.match(await ask(c, 'EPSV'), /^229 /)
})

test('lines that are too long, and what is no FTP, end that connection alone', async () => {
  await using both = await start({}, { answers: (command) => (command === 'SYST' ? 'HTTP/1.1 200 OK' : undefined) })
  const { server, proxy } = both
  using other = await greeted(proxy)
  using long = await greeted(proxy)
  long.send(`NOOP ${'x'.repeat(5_000)}`)
  assert.match(await long.until('\r\n'), /^500 /)
  await long.closed()
  assert.equal(server.commands, [])
  using odd = await greeted(proxy)
  assert.match(await ask(odd, 'SYST'), /^421 /)
  await odd.closed()
  long.socket.destroy()
  odd.socket.destroy()
  await proxy.tunnel(2)
  assert.equal(
    proxy.tunnels.map(({ reason }) => reason),
    ['client_message', 'upstream_message'],
  )
  assert.is(await ask(other, 'NOOP'), '200 fine\r\n')
})

test('a reload leaves control connections and transfers alone', async () => {
  await using both = await start()
  const { server, proxy } = both
  using c = await greeted(proxy)
  using data = await connect(await dataPort(c, 'EPSV'))
  await ask(c, 'STOR up')
  data.send('before ')
  await proxy.reload(configOf(server, { address: '203.0.113.5' }))
  data.send('and after').end()
  assert.is(await c.until('\r\n'), '226 stored\r\n')
  assert.is(server.files.get('up')!.toString(), 'before and after')
  assert.ok((await dataPort(c, 'PASV')) > 0)
  using late = await greeted(proxy)
  assert.match(await ask(late, 'PASV'), '(203,0,113,5,')
})

const curled = hasFtp() ? test : skipped()

curled('curl lists, fetches and stores, by EPSV and by PASV', async () => {
  await using both = await start({ passivePorts: '40000-60000' })
  const url = `ftp://ann:pw@127.0.0.1:${both.proxy.port}/`
  for (const option of ['--epsv', '--disable-epsv']) {
    assert.is((await curl(option, url, '-l')).trim(), 'a.txt')
    assert.is((await curl(option, `${url}a.txt`)).trim(), 'hello')
  }
  assert.is(await curl('-T', import.meta.filename, `${url}up.ts`), '')
  assert.ok(both.server.files.get('up.ts')!.includes('curl lists, fetches and stores'))
  // Active transfers are refused.
  await curl('--ftp-port', '127.0.0.1', `${url}a.txt`).then(
    () => assert.unreachable(),
    ({ code }) => assert.is(code, 30),
  )
})

function curl(...args: readonly string[]): Promise<string> {
  const all = ['-s', '--max-time', '5', '--noproxy', '*', ...args]
  return new Promise((resolve, reject) => execFile('curl', all, (error, out) => (error === null ? resolve(out) : reject(error))))
}

function hasFtp(): boolean {
  try {
    return /^Protocols:.* ftp /m.test(execFileSync('curl', ['--version'], { encoding: 'utf8' }))
  } catch {
    return false
  }
}

function skipped(): typeof test.skip {
  console.log('SKIPPED: there is no `curl` that speaks FTP')
  return test.skip
}

async function assertRefused(port: number): Promise<void> {
  const failure = await connect(port).then(
    () => null,
    (error: NodeJS.ErrnoException) => error.code,
  )
  assert.is(failure, 'ECONNREFUSED')
}

test.run()
