/** `sluice ca`: an authority that openssl takes for one, whose key is nobody else's, and that nothing replaces. */
import { execFileSync } from 'node:child_process'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { chmodSync, statSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { faultOfDomain, runCaCreate, runCaShow, runCaTrustHelp } from '../../core/cli/ca.ts'
import { createAuthority, openAuthority } from '../../core/forward/authority.ts'
import { issueFor, makeKeys, pemOf } from '../../core/net/certificate.ts'
import { type Ended, Project } from '../support/project.ts'

const filesOf = (project: Project) => ({ cert: project.path('ca.pem'), key: project.path('ca.key') })

test('it is made, shown and told how to be trusted', () => {
  using project = new Project()
  const made = project.sluice('ca', 'create')
  assert.is(made.code, 0, made.output)
  assert.match(made.output, "intercept: intercept({ ca: { cert: './ca.pem', key: './ca.key' } })")
  const ca = new X509Certificate(project.read('ca.pem'))
  assert.ok(ca.ca && ca.checkPrivateKey(createPrivateKey(project.read('ca.key'))))
  assert.is(statSync(project.path('ca.key')).mode & 0o777, 0o600)
  const days = (ca.validToDate.getTime() - Date.now()) / 86_400_000
  assert.ok(days > 3649 && days <= 3650)
  const shown = told(() => runCaShow({ dir: project.folder }))
  assert.is(shown.code, 0, shown.output)
  for (const text of [ca.fingerprint256, ca.validToDate.toISOString().slice(0, 10), 'Sluice interception CA', 'ca.key'])
    assert.ok(shown.output.includes(text), text)
  const help = told(() => runCaTrustHelp({ dir: project.folder }))
  for (const word of [
    'update-ca-certificates',
    'security add-trusted-cert',
    'certutil -addstore',
    'Firefox',
    'NODE_EXTRA_CA_CERTS',
    '--cacert',
  ])
    assert.ok(help.output.includes(word), word)
})

test('nothing is replaced, and what is wrong is told', () => {
  using project = new Project()
  const dir = project.path('x')
  const make = () => runCaCreate({ dir, days: 30, name: 'Acme read', permit: [] })
  const none = told(() => runCaShow({ dir }))
  assert.is(none.code, 1)
  assert.match(none.output, /there is no .*ca\.pem and no .*ca\.key: sluice ca create makes an authority/)
  assert.is(told(make).code, 0)
  const before = project.read('x/ca.key')
  const again = told(make)
  assert.is(again.code, 1)
  assert.match(again.output, /are there already, and clients may trust what is there: nothing was written/)
  assert.is(project.read('x/ca.key'), before)
  chmodSync(project.path('x/ca.key'), 0o644)
  const open = told(() => runCaShow({ dir }))
  assert.is(open.code, 1)
  assert.match(open.output, /its key can be read or changed by others \(0644\).*chmod 600/)
  assert.match(project.sluice('ca', 'create', '--days', '8000').output, '--days takes a whole number from 1 to 7300, not 8000')
  assert.match(faultOfDomain('*.example.com')!, '--permit takes a domain')
})

test('openssl takes what it signs, and one with --permit signs for those names alone', () => {
  try {
    execFileSync('openssl', ['version'])
  } catch {
    console.log('SKIPPED: there is no `openssl` command to verify certificates with')
    return
  }
  using project = new Project()
  createAuthority(filesOf(project), { permitted: ['corp.example', 'lab.test'] })
  const issuer = openAuthority(filesOf(project), Date.now())
  const verify = (host: string): string => {
    const period = { from: new Date(Date.now() - 60_000), to: new Date(Date.now() + 86_400_000) }
    project.write('leaf.pem', pemOf(issueFor(makeKeys().spki, { name: host, use: 'server', hosts: [host], ...period }, issuer)))
    const args = ['verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', project.path('ca.pem'), project.path('leaf.pem')]
    try {
      return execFileSync('openssl', args, { stdio: 'pipe' }).toString()
    } catch (error) {
      return String((error as { stderr: Buffer }).stderr)
    }
  }
  for (const host of ['corp.example', 'a.b.corp.example', 'lab.test']) {
    assert.match(verify(host), ': OK')
    assert.ok(issuer.maySignFor(host), host)
  }
  for (const host of ['example.com', 'evilcorp.example', '192.0.2.7', '2001:db8::1']) {
    assert.match(verify(host), /permitted subtree violation|excluded subtree violation/, host)
    assert.not(issuer.maySignFor(host), host)
  }
  const long = `${'a'.repeat(60)}.${'b'.repeat(60)}.corp.example`
  assert.match(verify(long), ': OK')
})

test.run()

/** What a command says in this process. */
function told(run: () => number): Ended {
  const said: string[] = []
  const [out, err] = [process.stdout.write, process.stderr.write]
  process.stdout.write = process.stderr.write = (text: string | Uint8Array) => said.push(String(text)) > 0
  try {
    return { code: run(), output: said.join('') }
  } finally {
    process.stdout.write = out
    process.stderr.write = err
  }
}
