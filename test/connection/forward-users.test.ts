/** Who may use a forward proxy, beside those that the config names: users of a file, and whom a function of the config knows. */
import { hash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import bcrypt from 'bcrypt'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { CheckUser } from '../../core/index.ts'
import { basicAuth } from '../../core/index.ts'
import { basic, forwarding } from '../support/forward.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { get, startWith } from '../support/policy.ts'
import { type RunningProxy, startProxy } from '../support/proxy.ts'
import { connectTo, credentials, GRANTED, socksTo } from '../support/socks.ts'
import { turnable } from '../support/turnable.ts'

const sha = (password: string): string => `{SHA}${hash('sha1', password, 'base64')}`

test('users of a file come in by their hashes, with HTTP and with SOCKS, and the log has their names', async () => {
  await using origin = await startOrigin(() => answer('in'))
  using file = new Users(`# ours\n\nann:${bcrypt.hashSync('kiwi', 4).replace('$2b$', '$2y$')}\r\nbob:${sha('fig')}\n`)
  await using proxy = await startProxy(forwarding({ socks: true, auth: { users: { eve: 'pear' }, file: file.path } }, [origin.port]))
  for (const [name, password, status] of [
    ['ann', 'kiwi', 200],
    ['bob', 'fig', 200],
    ['eve', 'pear', 200],
    ['ann', 'fig', 407],
    ['eve', 'kiwi', 407],
    ['dan', 'kiwi', 407],
  ] as const)
    assert.is(await ask(proxy, origin.address, name, password), status, name)
  assert.equal(
    proxy.ended.map(({ user, reason }) => user ?? reason),
    ['ann', 'bob', 'eve', 'proxy_auth_required', 'proxy_auth_required', 'proxy_auth_required'],
  )
  using c = await proxy.connect()
  c.send(Buffer.concat([Buffer.of(5, 1, 2), credentials('bob', 'fig'), connectTo('127.0.0.1', origin.port)]))
  assert.is((await c.bytes(14)).toString('hex'), `05020100${GRANTED}`)
  c.socket.destroy()
  assert.is((await proxy.tunnel()).user, 'bob')
})

test('another content of the file counts from the next reload on, for connections that are open too; who is not in it any more stays outside', async () => {
  await using origin = await startOrigin(() => answer('in'))
  using file = new Users(`ann:${sha('kiwi')}\nbob:${sha('fig')}\n`)
  const options = forwarding({ auth: { file: file.path } })
  await using proxy = await startProxy(options)
  using c = await proxy.connect()
  const asking = (name: string, password: string) =>
    c.send(`GET http://${origin.address}/ HTTP/1.1\r\nHost: x\r\n${basic(name, password)}\r\n`).response()
  assert.is((await asking('ann', 'kiwi')).status, 200)
  file.write(`bob:${sha('plum')}\n`)
  // Nobody has said so yet.
  assert.is((await asking('ann', 'kiwi')).status, 200)
  proxy.use(options)
  assert.is((await asking('ann', 'kiwi')).status, 407)
  assert.is((await asking('bob', 'fig')).status, 407)
  assert.is((await asking('bob', 'plum')).status, 200)
  file.write('bob:plum\n')
  assert.throws(() => proxy.use(options), /users:1: bob: no hash that can be checked/)
  assert.is((await asking('bob', 'plum')).status, 200)
})

test('a function says who may come in, by name, password and address, once for a while', async () => {
  await using origin = await startOrigin(() => answer('in'))
  const asked: unknown[] = []
  const check: CheckUser = async (name, password, { client }) => {
    asked.push([name, password, client])
    return name === 'ann' && password === 'kiwi:fig'
  }
  const { deadlines, turn } = turnable()
  await using proxy = await startProxy({
    ...forwarding({ socks: true, auth: { users: { bob: 'plum' }, check } }, [origin.port]),
    deadlines,
  })
  assert.is(await ask(proxy, origin.address, 'ann', 'kiwi:fig'), 200)
  assert.is(await ask(proxy, origin.address, 'ann', 'kiwi:fig'), 200)
  assert.is(await ask(proxy, origin.address, 'ann', 'wrong'), 407)
  assert.is(await ask(proxy, origin.address, 'ann', 'wrong'), 407)
  assert.is(await ask(proxy, origin.address, 'bob', 'plum'), 200)
  // The config's own users are nobody else's business.
  assert.is(await ask(proxy, origin.address, 'bob', 'kiwi:fig'), 407)
  assert.is(await ask(proxy, origin.address, 'a\tb', 'x'), 407)
  using c = await proxy.connect()
  c.send(Buffer.concat([Buffer.of(5, 1, 2), credentials('ann', 'kiwi:fig'), connectTo('127.0.0.1', origin.port)]))
  assert.is((await c.bytes(14)).toString('hex'), `05020100${GRANTED}`)
  assert.equal(asked, [
    ['ann', 'kiwi:fig', '127.0.0.1'],
    ['ann', 'wrong', '127.0.0.1'],
  ])
  turn(6_000)
  assert.is(await ask(proxy, origin.address, 'ann', 'kiwi:fig'), 200)
  assert.is(await ask(proxy, origin.address, 'ann', 'wrong'), 407)
  assert.is(asked.length, 3)
  turn(60_000)
  assert.is(await ask(proxy, origin.address, 'ann', 'kiwi:fig'), 200)
  assert.is(asked.length, 4)
})

test('a function that throws, hangs or answers with anything else lets nobody in, and the log says why', async () => {
  await using origin = await startOrigin(() => answer('in'))
  const { deadlines, turn } = turnable()
  const never = new Promise<boolean>(() => {})
  const check = (name: string): boolean | Promise<boolean> => {
    if (name === 'throws') throw new Error('no directory')
    if (name === 'rejects') return Promise.reject(new Error('no answer'))
    return name === 'hangs' ? never : ('yes' as unknown as boolean)
  }
  await using proxy = await startProxy({ ...forwarding({ socks: true, auth: { check } }, [origin.port]), deadlines })
  for (const name of ['throws', 'rejects', 'talks']) assert.is(await ask(proxy, origin.address, name, 'x'), 500)
  const hanging = ask(proxy, origin.address, 'hangs', 'x')
  using c = await proxy.connect()
  c.send(Buffer.concat([Buffer.of(5, 1, 2), credentials('hangs', 'x')]))
  assert.is((await c.bytes(2)).toString('hex'), '0502')
  // Both have been read once an answer has come to a third.
  assert.is(await ask(proxy, origin.address, 'throws', 'x'), 500)
  turn(5_100)
  assert.is(await hanging, 500)
  assert.is((await c.bytes(2)).toString('hex'), '0101')
  const why = (await proxy.tunnel()).detail
  assert.equal(
    [...proxy.ended.map(({ reason, detail }) => `${reason}: ${detail}`), why],
    [
      'hook_failed: auth.check: no directory',
      'hook_failed: auth.check: no answer',
      'hook_failed: auth.check: it answered with string; expected true or false',
      'hook_failed: auth.check: no directory',
      'hook_failed: auth.check: it has not answered within 5 s',
      'auth.check: it has not answered within 5 s',
    ],
  )
  assert.is(origin.requests.length, 0)
})

test('no more than so many are asked about at a time', async () => {
  await using origin = await startOrigin(() => answer('in'))
  const waiting: ((isRight: boolean) => void)[] = []
  const check = (): Promise<boolean> => new Promise((resolve) => waiting.push(resolve))
  await using proxy = await startProxy(socksTo([origin.port], { auth: { check } }))
  const addressOf = (i: number): string => `127.0.0.${1 + Math.floor(i / 32)}`
  const clients = await Promise.all(Array.from({ length: 65 }, (_, i) => proxy.connect({ localAddress: addressOf(i) })))
  for (const [i, c] of clients.entries()) c.send(Buffer.concat([Buffer.of(5, 1, 2), credentials(`user${i}`, 'x')]))
  const { reason } = await proxy.tunnel()
  assert.equal([reason, waiting.length], ['policy_busy', 64])
  for (const answers of waiting) answers(true)
  await Promise.all(clients.slice(0, 64).map(async (c) => assert.match((await c.bytes(4)).toString('hex'), /^0502010[01]$/)))
  for (const c of clients) c.socket.destroy()
})

test('basicAuth knows the same of users', async () => {
  await using origin = await startOrigin(() => answer('in'))
  using file = new Users(`ann:${sha('kiwi')}\n`)
  const check: CheckUser = (name, password) => name === 'bob' && password === 'fig'
  await using proxy = await startWith([basicAuth({ file: file.path, check })], origin)
  using c = await proxy.connect()
  const asking = async (name: string, password: string): Promise<number> =>
    (await c.send(get('/', [basic(name, password).replace('Proxy-', '').trim()])).response()).status
  assert.is(await asking('ann', 'kiwi'), 200)
  assert.is(await asking('bob', 'fig'), 200)
  assert.is(await asking('bob', 'kiwi'), 401)
  assert.is(await asking('ann', 'fig'), 401)
})

test.run()

class Users implements Disposable {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'sluice-users-'))
  readonly path: string = join(this.folder, 'users')

  constructor(text: string) {
    this.write(text)
  }

  write(text: string): void {
    writeFileSync(this.path, text)
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true })
  }
}

async function ask(proxy: RunningProxy, place: string, name: string, password: string): Promise<number> {
  using c = await proxy.connect()
  return (await c.send(`GET http://${place}/ HTTP/1.1\r\nHost: x\r\n${basic(name, password)}\r\n`).response()).status
}
