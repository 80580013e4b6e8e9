/** `basicAuth`: who has no name and password does not get in, whatever their form; who has them is in the log. */
import { argon2Sync, hash, scryptSync } from 'node:crypto'
import bcrypt from 'bcrypt'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { parsePassword, passwordProblem } from '../../core/config/password-hash.ts'
import { Deadlines } from '../../core/deadlines.ts'
import { basicAuth } from '../../core/index.ts'
import { AskedUsers } from '../../core/policy/asked-users.ts'
import { isPassword } from '../../core/policy/password-check.ts'
import { BUSY, Passwords, rememberedUsers } from '../../core/policy/passwords.ts'
import { startOrigin } from '../support/origin.ts'
import { get, startWith } from '../support/policy.ts'

const bare = (base64: Buffer): string => base64.toString('base64').replace(/=+$/, '')
const SALT = Buffer.alloc(16, 7)
const argon = argon2Sync('argon2id', { message: 'kiwi', nonce: SALT, parallelism: 1, tagLength: 32, memory: 64, passes: 1 })
const HASHES = {
  bcrypt: bcrypt.hashSync('kiwi', 4),
  htpasswd: bcrypt.hashSync('kiwi', 4).replace('$2b$', '$2y$'),
  sha: `{SHA}${hash('sha1', 'kiwi', 'base64')}`,
  scrypt: `$scrypt$ln=4,r=8,p=1$${bare(SALT)}$${bare(scryptSync('kiwi', SALT, 32, { N: 16, r: 8, p: 1 }))}`,
  argon: `$argon2id$v=19$m=64,t=1,p=1$${bare(SALT)}$${bare(argon)}`,
}

const basic = (name: string, password: string): string => `Authorization: Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`

test('without credentials the answer is 401, asks for them, and says why in the log', async () => {
  await using origin = await startOrigin()
  await using proxy = await startWith([basicAuth({ users: { ops: 'secret' }, realm: 'the "back" door' })], origin)
  using c = await proxy.connect()
  const response = await c.send(get()).response()
  assert.is(response.status, 401)
  assert.is(response.headers['www-authenticate'], 'Basic realm="the \\"back\\" door", charset="UTF-8"')
  const { reason, decidedBy, user } = await proxy.exchange()
  assert.equal([reason, decidedBy, user], ['unauthorized', 'basicAuth', null])
  assert.is(origin.requests.length, 0)
})

test('a plain password lets in, whatever the case of the scheme, and the name stands in the log', async () => {
  await using origin = await startOrigin()
  await using proxy = await startWith([basicAuth({ users: { ops: 'se:cret', ünal: 'käse' } })], origin)
  using c = await proxy.connect()
  assert.is((await c.send(get('/', [basic('ops', 'se:cret').replace('Basic', 'bASIC')])).response()).status, 200)
  assert.is((await proxy.exchange(1)).user, 'ops')
  assert.is((await c.send(get('/', [basic('ünal', 'käse')])).response()).status, 200)
  assert.is((await proxy.exchange(2)).user, 'ünal')
  assert.match(origin.requests[0]!.head, 'bASIC')
})

test('what is wrong in any way stays outside', async () => {
  await using origin = await startOrigin()
  await using proxy = await startWith([basicAuth({ users: { ops: 'secret', ann: HASHES.bcrypt } })], origin)
  using c = await proxy.connect()
  const wrong = [
    basic('ops', 'secre'),
    basic('ops', 'secret '),
    basic('ops', ''),
    basic('', 'secret'),
    basic('Ops', 'secret'),
    basic('ann', HASHES.bcrypt),
    basic('ann', 'kiwis'),
    basic('bob', 'kiwi'),
    'Authorization: Basic',
    'Authorization: Basic ====',
    `Authorization: Basic ${Buffer.from('ops').toString('base64')}`,
    `Authorization: Bearer ${Buffer.from('ops:secret').toString('base64')}`,
    `Authorization: Basic ${Buffer.from(`ops:${'x'.repeat(2000)}`).toString('base64')}`,
    `${basic('ops', 'secret')}\r\n${basic('ops', 'secret')}`,
  ]
  for (const line of wrong) assert.is((await c.send(get('/', [line])).response()).status, 401, line)
  assert.is(origin.requests.length, 0)
})

for (const [kind, stored] of Object.entries(HASHES)) {
  test(`a password is checked by its hash: ${kind}`, async () => {
    await using origin = await startOrigin()
    await using proxy = await startWith([basicAuth({ users: { ann: stored } })], origin)
    using c = await proxy.connect()
    assert.is((await c.send(get('/', [basic('ann', 'kiwi')])).response()).status, 200)
    assert.is((await c.send(get('/', [basic('ann', 'lime')])).response()).status, 401)
    // Remembered: at once.
    assert.is((await c.send(get('/', [basic('ann', 'kiwi')])).response()).status, 200)
    assert.is((await proxy.exchange(3)).user, 'ann')
  })
}

test('the endpoint is told who it is, and not by the client; credentials end here if that is said', async () => {
  await using origin = await startOrigin()
  await using proxy = await startWith([basicAuth({ users: { ops: 'secret' }, passOn: false, userHeader: 'X-User' })], origin)
  using c = await proxy.connect()
  assert.is((await c.send(get('/', [basic('ops', 'secret'), 'x-user: root'])).response()).status, 200)
  const { head } = await origin.request()
  assert.match(head, 'X-User: ops\r\n')
  assert.not.match(head, 'root')
  assert.not.match(head, /authorization/i)
})

test('more checks than can wait are told so, and those that wait get theirs', async () => {
  const stored = parsePassword(HASHES.scrypt)
  assert.ok(stored !== null && stored.kind !== 'plain')
  const answers = await Promise.all(
    Array.from({ length: 80 }, (_, i) => isPassword(Buffer.from(i === 5 ? 'kiwi' : 'lime'), stored, `192.0.2.${i}`)),
  )
  assert.is(answers.filter((answer) => answer === null).length, 80 - 66)
  assert.is(answers[5], true)
  assert.is(await isPassword(Buffer.from('kiwi'), stored, '192.0.2.1'), true)
})

test('what is no hash that can be checked is said without repeating it', () => {
  for (const text of ['plain', '$plain', '$', '{plain}', ...Object.values(HASHES)]) assert.is(passwordProblem(text), null, text)
  assert.match(passwordProblem('$apr1$abcdefgh$0123456789abcdefghijkl')!, 'htpasswd -B')
  const wrong = [
    '$2y$99$abc',
    '$scrypt$ln=4,r=8,p=1$c2FsdA$c2hvcnQ',
    '$scrypt$ln=30,r=8,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
    '$argon2id$v=19$m=9999999,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
    '$argon2id$v=16$m=64,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
    '{SSHA}abcdef',
    '{SHA}abc',
    '$6$salt$digest',
  ]
  for (const text of wrong) {
    const problem = passwordProblem(text)
    assert.ok(problem !== null, text)
    assert.not.match(problem!, 'abc')
  }
})

test('a client that tries out passwords without end keeps no other one out', async () => {
  const answers: ((isRight: boolean) => void)[] = []
  const check = (): Promise<boolean> => new Promise((resolve) => answers.push(resolve))
  const deadlines = new Deadlines()
  const asked = new AskedUsers(check, 'check', deadlines)
  const { scrypt } = HASHES
  for (const passwords of [
    new Passwords({ asked, remembered: rememberedUsers(), now: () => 0 }),
    new Passwords({ users: { ann: scrypt }, remembered: rememberedUsers(), now: () => 0 }),
  ]) {
    const tryOut = async (i: number, ip: string): Promise<boolean> => {
      const found = passwords.check(Buffer.from(`ann:${i}`), ip)
      return (found instanceof Promise ? await found : found) !== BUSY
    }
    // Of IPv6, all addresses of one network are one client's.
    const many = Array.from({ length: 100 }, (_, i) => tryOut(i, `2001:db8::${i + 1}`))
    const other = tryOut(200, '192.0.2.1')
    for (const answer of answers.splice(0)) answer(false)
    assert.is(await other, true)
    const passed = (await Promise.all(many)).filter(Boolean).length
    assert.ok(passed >= 32 && passed <= 33, `${passed} of 100`)
    assert.is(await tryOutLater(tryOut, answers), true, 'and all of its places are free again')
  }
})

async function tryOutLater(tryOut: (i: number, ip: string) => Promise<boolean>, answers: ((isRight: boolean) => void)[]): Promise<boolean> {
  const again = tryOut(300, '2001:db8::1')
  for (const answer of answers.splice(0)) answer(false)
  return await again
}

test.run()
