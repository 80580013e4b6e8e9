/** `sluice cert dev`: what it makes is taken by node:tls, openssl and curl, and nothing is replaced unasked. */
import { execFileSync } from 'node:child_process'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { statSync } from 'node:fs'
import * as tls from 'node:tls'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Project } from '../support/project.ts'

test('an authority and a certificate by it, which fit and verify', () => {
  using project = new Project()
  const made = project.sluice('cert', 'dev', 'API.example.test', '*.example.test', '192.0.2.7', '2001:db8::1:0:7')
  assert.is(made.code, 0, made.output)
  assert.match(made.output, "tls: { cert: './certs/dev.pem', key: './certs/dev.key' }")
  assert.match(made.output, 'curl --cacert ./certs/dev-ca.pem https://localhost:8443/')
  const [ca, own] = ['dev-ca', 'dev'].map((name) => new X509Certificate(project.read(`certs/${name}.pem`))) as [
    X509Certificate,
    X509Certificate,
  ]
  assert.ok(own.checkPrivateKey(createPrivateKey(project.read('certs/dev.key'))))
  assert.ok(own.verify(ca.publicKey) && own.checkIssued(ca) && ca.ca && !own.ca)
  for (const host of ['api.example.test', 'b.example.test', 'localhost']) assert.ok(own.checkHost(host), host)
  for (const ip of ['192.0.2.7', '2001:db8::1:0:7', '127.0.0.1', '::1']) assert.ok(own.checkIP(ip), ip)
  const days = (own.validToDate.getTime() - Date.now()) / 86_400_000
  assert.ok(days > 89 && days <= 90)
  for (const file of ['dev-ca.pem', 'dev-ca.key', 'dev.pem', 'dev.key'])
    assert.is(statSync(project.path('certs', file)).mode & 0o777, 0o600, file)
})

test('a certificate with a URI says who somebody is on both sides of a connection', () => {
  using project = new Project()
  const made = project.sluice('cert', 'dev', 'spiffe://example.test/shop', 'shop.example.test')
  assert.is(made.code, 0, made.output)
  const own = new X509Certificate(project.read('certs/dev.pem'))
  assert.match(own.subjectAltName!, 'URI:spiffe://example.test/shop')
  assert.ok(own.checkHost('shop.example.test'))
  assert.equal([own.subject, own.keyUsage], ['CN=shop.example.test', ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']])
})

test('what is there is not replaced unasked, and the authority never', () => {
  using project = new Project()
  project.sluice('cert', 'dev')
  const before = [project.read('certs/dev-ca.pem'), project.read('certs/dev.pem')]
  const again = project.sluice('cert', 'dev')
  assert.is(again.code, 1)
  assert.match(again.output, 'certs/dev.pem, certs/dev.key are there already: nothing was written; --force replaces')
  assert.equal([project.read('certs/dev-ca.pem'), project.read('certs/dev.pem')], before)
  const forced = project.sluice('cert', 'dev', '--force', '--days', '7')
  assert.match(forced.output, 'the authority, as it was')
  assert.is(project.read('certs/dev-ca.pem'), before[0])
  assert.is.not(project.read('certs/dev.pem'), before[1])
  const more = project.sluice('cert', 'dev', '--dir', 'other')
  assert.match(more.output, './other/dev.pem')
})

test('wrong names and numbers are told, and nothing is written', () => {
  using project = new Project()
  for (const [args, why] of [
    [['a_b'], '"a_b" is no name of a host and no address'],
    [['*.*.test'], 'is no name of a host'],
    [['--days', '1000'], '--days takes a whole number from 1 to 397, not 1000'],
    [['--client', '../x'], 'the name of a client is made of'],
  ] as const) {
    const ended = project.sluice('cert', 'dev', ...args)
    assert.is(ended.code, 2, ended.output)
    assert.match(ended.output, why)
  }
  assert.not(project.has('certs'))
  assert.match(project.sluice('cert', 'dev', '--help').output, 'to try clientCertificate: require')
})

test('a proxy and a client with them speak, each known to the other; openssl agrees', async () => {
  using project = new Project()
  assert.is(project.sluice('cert', 'dev', '--client', 'ann').code, 0)
  const read = (name: string): string => project.read(`certs/${name}`)
  const ca = read('dev-ca.pem')
  const server = tls.createServer(
    { cert: read('dev.pem'), key: read('dev.key'), ca, requestCert: true, rejectUnauthorized: true },
    (socket) => {
      socket.end(String(socket.getPeerCertificate().subject.CN))
    },
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const shown = { cert: read('client-ann.pem'), key: read('client-ann.key') }
  const client = tls.connect({ port, host: '127.0.0.1', servername: 'localhost', ca, ...shown })
  let text = ''
  for await (const piece of client as AsyncIterable<Buffer>) text += piece.toString()
  server.close()
  assert.is(text, 'ann')
  try {
    execFileSync('openssl', ['version'])
  } catch {
    console.log('SKIPPED: there is no `openssl` command to verify certificates with')
    return
  }
  for (const [file, purpose] of [
    ['dev', 'sslserver'],
    ['client-ann', 'sslclient'],
  ]) {
    const args = [
      'verify',
      '-x509_strict',
      '-purpose',
      purpose!,
      '-CAfile',
      project.path('certs/dev-ca.pem'),
      project.path(`certs/${file}.pem`),
    ]
    assert.match(execFileSync('openssl', args).toString(), ': OK')
  }
})

test.run()
