import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { formatProblems, type Problem, placeIn } from '../../core/config/problems.ts'
import { Secrets, secretsOf, withoutSecrets } from '../../core/config/secrets.ts'
import { basicAuth, forward, http, respond } from '../../core/index.ts'
import { check, makeFolder } from './support.ts'

test('a value in quotes becomes the variable it came from, elsewhere a mask', () => {
  const secrets = new Secrets()
  secrets.add('hunter2', 'PASSWORD')
  secrets.add('correct')
  assert.is(secrets.maskMessage("expected a path, got 'hunter2'"), "expected a path, got env('PASSWORD')")
  assert.is(secrets.maskMessage('no route to hunter2, nor to "correct"'), 'no route to ***, nor to "***"')
})

test('a short secret is masked in quotes alone, for it stands in other words too', () => {
  const secrets = new Secrets()
  secrets.add('pw')
  secrets.add('path')
  assert.is(secrets.maskMessage("got 'pw' in pwd"), "got '***' in pwd")
  assert.is(secrets.maskMessage('path, pathname'), '***, pathname')
})

test('a long secret is found where a message shortens it', () => {
  const secrets = new Secrets()
  const token = 'x1'.repeat(40)
  secrets.add(token)
  assert.is(secrets.maskMessage(`got '${token.slice(0, 57)}…'`), "got '***'")
})

test('of two secrets the longer one is masked whole', () => {
  const secrets = new Secrets()
  secrets.addAll(['hunter', 'hunter-2'])
  assert.is(secrets.maskMessage('hunter-2 hunter'), '*** ***')
})

test('passwords in addresses and private keys are secret wherever they stand', () => {
  const secrets = new Secrets()
  assert.is(
    secrets.maskMessage('cannot dial http://ann:pw@host:1 or https://host/a:b@c'),
    'cannot dial http://ann:***@host:1 or https://host/a:b@c',
  )
  assert.is(secrets.maskMessage('-----BEGIN EC PRIVATE KEY-----\nabc\n-----END EC PRIVATE KEY-----!'), '***!')
})

test('secrets of a config are those of users, of keys that say so, and of keys in PEM form', () => {
  const key = `-----BEGIN PRIVATE KEY-----\n${'A'.repeat(64)}\n-----END PRIVATE KEY-----`
  const secrets = secretsOf({
    listeners: {
      web: http({
        listen: ':1',
        tls: { cert: 'c.pem', key },
        use: [basicAuth({ users: { ops: 'tuesday' } })],
        routes: [{ respond: respond(200) }],
      }),
      out: forward({ listen: ':2', auth: { users: { ann: 'wednesday' } }, parent: 'socks5://ann:thursday@10.0.0.1:1080' }),
    },
    use: [{ kind: 'plugin', options: { api_key: 'friday', token: 'saturday', agents: ['sunday'] } }],
  })
  assert.is(
    secrets.maskSource(`tuesday wednesday thursday friday saturday sunday ops ann c.pem ${'A'.repeat(64)}`),
    '*** *** *** *** *** sunday ops ann c.pem ***',
  )
})

test('keys, paths and words of a sentence stay, though a password is the same word', async () => {
  const source = (users: string, more: string) =>
    `import { basicAuth, etcd, http, upstream } from 'sluice'
const api = upstream('api', { discovery: etcd({ password: 'secret' }), sticky: { secrt: 'x' } })
export default { listeners: { web: http({ listen: ':1', use: [basicAuth({ users: { ${users} } })], routes: [{ to: api }, { ${more} }] }) } }`
  const found = await check(source("ann: 'secret', bob: 'routes', tom: 'unknown', eve: 'missing'", 'pth: 1'))
  const told = found.map(({ path, message }) => `${path}: ${message}`)
  for (const expected of [/secrt: unknown key; did you mean secret\?/, /: url is missing/, /listeners\.web\.routes\[1\]\.pth: unknown key/])
    assert.ok(
      told.some((one) => expected.test(one)),
      `${expected}: ${told.join('\n')}`,
    )
  assert.not.match(told.join(), /\*\*\*/)
  assert.not.match(formatProblems(found, { color: false }), /'(?:secret|routes|unknown|missing)'/)
})

test('a value that a sentence shows is masked, be it a word', () => {
  const secrets = new Secrets()
  secrets.addAll(['tango', 'hunter2'])
  secrets.add('waltz', 'DANCE')
  assert.is(secrets.maskFinding('got \'tango\', "Bearer tango" or hunter2, not tango'), 'got \'***\', "Bearer ***" or ***, not tango')
  assert.is(secrets.maskFinding("waltz: got 'waltz'"), "waltz: got env('DANCE')")
  assert.is(secrets.maskFinding("it isn't 'tango', isn't http://ann:tango@host"), "it isn't '***', isn't http://ann:***@host")
})

test('a frame shows no literal password, and its mark stays at its place', async () => {
  const problems = await check(
    "import { forward } from 'sluice'\nconst key = { token: 'tango' }\nexport default { listeners: { out: forward({ auth: { users: { ann: 'pw', bob: 'hunter2' } }, listen: 'x' }) } }",
  )
  const text = formatProblems(
    problems.filter(({ path }) => path === 'listeners.out.listen'),
    { color: false },
  )
  const rows = text.split('\n').slice(1)
  assert.equal(rows.slice(0, 3), [
    "  1 | import { forward } from 'sluice'",
    "  2 | const key = { token: '***' }",
    "> 3 | export default { listeners: { out: forward({ auth: { users: { ann: '***', bob: '***' } }, listen: 'x' }) } }",
  ])
  assert.is(rows[3]!.indexOf('^'), rows[2]!.indexOf("'x'"))
  const line = "export default { listeners: { out: forward({ auth: { users: { ann: 'pw', bob: 'hunter2' } }, listen: 'x'"
  assert.is(problems.find(({ path }) => path === 'listeners.out.listen')?.place?.column, line.indexOf("'x'") + 1)
})

test('a config that cannot even be parsed shows no password either', async () => {
  const folder = makeFolder({})
  const source = 'const users = {\n  ann: \'pw\',\n  bob: `tango`,\n}\nconst password = "foxtrot" oops'
  const problem: Problem = {
    severity: 'error',
    path: null,
    message: 'Expected ";" near "foxtrot"',
    place: placeIn(source, `${folder}/gone.ts`, 5, 28),
  }
  const text = formatProblems(withoutSecrets([problem]), { color: false })
  assert.not.match(text, /foxtrot/)
  const all = formatProblems(
    withoutSecrets([{ ...problem, place: { ...placeIn(source, `${folder}/gone.ts`, 2, 3), source: source.split('\n') } }]),
    { color: false },
  )
  assert.not.match(all, /pw|tango|foxtrot/)
})

test('a config without secrets is shown as it is', () => {
  const place = placeIn("listen: 'users', path: '/password'", '/no/such/file', 1, 9)
  assert.equal(withoutSecrets([{ severity: 'error', path: 'a.b', message: "got 'users'", place }]), [
    { severity: 'error', path: 'a.b', message: "got 'users'", place },
  ])
})

test('no text takes long to look through', () => {
  const folder = makeFolder({ 'a.ts': '-----BEGIN PRIVATE KEY-----\n'.repeat(20_000) })
  const startedAt = performance.now()
  new Secrets().maskMessage(`${'a.'.repeat(50_000)}://`)
  withoutSecrets([{ severity: 'error', path: null, message: 'no', place: placeIn('x', `${folder}/a.ts`, 1, 1) }])
  assert.ok(performance.now() - startedAt < 1_000)
})

test.run()
