/** The command line as a user types it: what it prints, and what its exit code says. */
import { existsSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { commands } from '../../core/cli/commands.ts'
import { request } from '../support/client.ts'
import { runHere } from '../support/command-line.ts'
import { eventually } from '../support/deadline.ts'
import { commandOf, freePort, runCommand, startSluice } from '../support/process.ts'
import { SharedSluice } from '../support/shared-sluice.ts'

const runOne = ['run', '--workers', '1']
const shared = new SharedSluice(test, ['--workers', '1'])
const hello = config(`routes: [{ path: '/hello', respond: respond(200, 'hi') }]`)

test('run tells each listener, then that it is ready; SIGTERM ends it with 0 and leaves nothing behind', async () => {
  await using sluice = await startSluice({ config: hello, args: ['--workers', '2'] })
  const port = await sluice.port('web')
  assert.match(sluice.stdout[0]!, /^listening web http:\/\/127\.0\.0\.1:\d+$/)
  assert.match(sluice.stdout.at(-1)!, /^ready in \d+ ms, 2 workers, pid \d+$/)
  assert.is(sluice.processes().length, 3, sluice.processes().map(commandOf).join('\n'))
  assert.is((await request(port, get('/hello'))).text, 'hi')
  assert.is(await sluice.stop('SIGTERM'), 0)
})

test('SIGINT ends it with 0 too', async () => {
  await using sluice = await startSluice({ config: hello, args: ['--workers', '1'] })
  assert.is(await sluice.stop('SIGINT'), 0)
})

test('a config that is not valid exits with 78 and tells its places', async () => {
  const wrong = await runCommand(runOne, { config: hello.replace('path:', 'pth:') })
  assert.is(wrong.code, 78)
  assert.match(wrong.stderr, /proxy\.config\.ts:\d+:\d+/)
  assert.match(wrong.stderr, /pth/)
  assert.is(wrong.stdout, '')
  const absent = await runCommand([...runOne, '-c', 'nowhere.ts'], {})
  assert.is(absent.code, 78)
  assert.match(absent.stderr, /nowhere\.ts/)
})

test('a port that is taken exits with 1 and names listener and address', async () => {
  const first = await shared.take(hello)
  const port = await first.port('web')
  const second = await runCommand(runOne, { config: hello.replace(':0', `:${port}`) })
  assert.is(second.code, 1)
  assert.match(second.stderr, new RegExp(`listener web cannot use 127.0.0.1:${port}: another program uses it already`))
})

test('an admin that others could reach exits with 78 unless there is a token', async () => {
  const open = hello.replace('listeners:', `admin: { listen: '0.0.0.0:0' }, listeners:`)
  const refused = await runCommand(runOne, { config: open })
  assert.is(refused.code, 78)
  assert.match(refused.stderr, /set SLUICE_ADMIN_TOKEN/)
  await using sluice = await startSluice({ config: open, args: ['--workers', '1'], env: { SLUICE_ADMIN_TOKEN: 'secret' } })
  const port = await sluice.port('admin')
  assert.is((await request(port, get('/metrics'))).status, 401)
  assert.is((await request(port, get('/metrics', 'Authorization: Bearer secret\r\n'))).status, 200)
})

test('an admin port that is taken exits with 1', async () => {
  const port = await freePort()
  const config = hello.replace('listeners:', `admin: { listen: '127.0.0.1:${port}' }, listeners:`)
  await using first = await startSluice({ config, args: ['--workers', '1'] })
  assert.is(first.stderr.join(''), '')
  const second = await runCommand(runOne, { config })
  assert.is(second.code, 1)
  assert.match(second.stderr, new RegExp(`admin cannot use 127.0.0.1:${port}`))
})

test('wrong usage exits with 2 and names the nearest known word', async () => {
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [['chekc'], /did you mean check\?/],
    [['run', '--wokers', '2'], /did you mean --workers\?/],
    [['run', '--workers', '0'], /--workers takes auto or a number/],
    [['run', '--drain', 'soon'], /--drain takes a duration/],
    [['run', 'there'], /does not know what to do with there/],
    [['proxy.config.ts'], /did you mean -c proxy\.config\.ts\?/],
    [['localhost:3000'], /did you mean http:\/\/localhost:3000\?/],
    [['http://localhost:3000/path'], /no address to send requests to/],
    [['status', '--pid', 'one'], /--pid takes a process id/],
  ]
  for (const [args, message] of cases) {
    const { code, stderr } = await runHere(args)
    assert.is(code, 2, args.join(' '))
    assert.match(stderr, message)
  }
  const [args, message] = cases[0]!
  const { code, stderr } = await runCommand(args)
  assert.is(code, 2)
  assert.match(stderr, message)
})

test('help and version are answered', async () => {
  const { code, stdout } = await runCommand(['--help'])
  assert.is(code, 0)
  for (const word of ['http://localhost:3000', 'run', 'check', 'status', 'stop']) assert.match(stdout, word)
  assert.match((await runHere(['run', '--help'])).stdout, '--workers N|auto')
  assert.match((await runCommand(['--version'])).stdout, /^sluice \d+\.\d+\.\d+$/)
})

test('each command has its help, by --help and by help', async () => {
  for (const { name, options } of Object.values(commands)) {
    const { code, stdout } = await runHere([...name.split(' '), '--help'])
    assert.is(code, 0, name)
    for (const option of options) assert.match(stdout, `--${option.name}`, name)
  }
  assert.match((await runHere(['help', 'stop'])).stdout, /^Usage: sluice stop/)
  const unknown = await runHere(['help', 'stpo'])
  assert.equal([unknown.code, unknown.stderr], [2, 'sluice: there is no command stpo; did you mean stop?\nTry: sluice --help\n'])
})

test('check tells problems and exits with 1, or 0 if there are none', async () => {
  const fine = await runCommand(['check'], { config: hello })
  assert.equal([fine.code, fine.stdout], [0, 'proxy.config.ts is valid: 1 listener, 1 route'])
  const wrong = await runCommand(['check', '--json'], { config: hello.replace('path:', 'pth:') })
  assert.is(wrong.code, 1)
  const report = JSON.parse(wrong.stdout) as { ok: boolean; problems: { message: string }[] }
  assert.is(report.ok, false)
  assert.match(JSON.stringify(report.problems), 'pth')
})

test('each exchange is a JSON line on standard output', async () => {
  const sluice = await shared.take(hello)
  const port = await sluice.port('web')
  await request(port, get('/hello?a=1', 'User-Agent: "x"\r\n'))
  await request(port, get('/nowhere'))
  const [first, second] = [JSON.parse(await sluice.line(/hello/)), JSON.parse(await sluice.line(/nowhere/))]
  assert.equal([first.route, first.status, first.path, first.userAgent, first.reason], ['web[0]', 200, '/hello?a=1', '"x"', undefined])
  assert.equal([second.route, second.status, second.reason], [undefined, 404, 'no_route'])
})

test('access lines go to a file when one is named, which SIGUSR1 reopens', async () => {
  await using sluice = await startSluice({ config: hello, args: ['--workers', '2', '--log', 'access.log'] })
  const port = await sluice.port('web')
  const file = join(sluice.folder, 'access.log')
  const lines = (name: string): string[] => readFileSync(join(sluice.folder, name), 'utf8').trimEnd().split('\n')
  await request(port, get('/hello'))
  await eventually(() => (lines('access.log')[0] === '' ? undefined : true), 'no line')
  assert.is(JSON.parse(lines('access.log')[0]!).path, '/hello')
  renameSync(file, `${file}.1`)
  sluice.signal('SIGUSR1')
  await eventually(() => (existsSync(file) ? true : undefined), 'not reopened')
  await eventually(async () => {
    await request(port, get('/hello'))
    return lines('access.log')[0] === '' ? undefined : true
  }, 'no line in the new file')
  assert.not.ok(sluice.stdout.some((line) => line.includes('/hello')))
})

test('access lines can be turned off', async () => {
  const sluice = await shared.take(hello.replace('listeners:', `log: { access: false }, listeners:`))
  await request(await sluice.port('web'), get('/hello'))
  assert.is(await sluice.stop(), 0)
  assert.not.ok(sluice.stdout.some((line) => line.includes('/hello')))
})

test.run()

function config(http: string): string {
  return `import { defineConfig, http, respond } from 'sluice'
export default defineConfig({ listeners: { web: http({ listen: '127.0.0.1:0', ${http} }) } })
`
}

function get(path: string, lines = ''): string {
  return `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${lines}\r\n`
}
