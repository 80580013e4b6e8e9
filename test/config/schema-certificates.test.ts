import { execFileSync } from 'node:child_process'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { formatPath } from '../../core/config/positions.ts'
import { Report } from '../../core/config/report.ts'
import { checkShape } from '../../core/config/schema.ts'
import { http, respond, type TlsTermination, tcp, upstream } from '../../core/index.ts'
import { certificates, issue, withCertificates } from '../support/certificates.ts'
import { makeFolder } from './support.ts'

/** The certificates of these tests live for two days. */
const DAY_MS = 86_400_000
const folder = makeFolder({})
const withOpenssl = withCertificates(test)

if (certificates !== null) {
  const { server, other, ca } = certificates
  const der = Buffer.from(server.cert.replace(/-----[^-]+-----|\s/g, ''), 'base64')
  for (const [name, content] of Object.entries({
    'web.pem': server.cert,
    'web.key': server.key,
    'other.key': other.key,
    'chain.pem': `${server.cert}${ca.cert}`,
    'web.der': der,
    'broken.pem': server.cert.replace(/\n.{20}/, '\n'),
  }))
    writeFileSync(join(folder, name), content)
  const encrypt = ['pkey', '-in', join(folder, 'web.key'), '-aes256', '-passout', 'pass:x', '-out', join(folder, 'encrypted.key')]
  execFileSync('openssl', encrypt, { stdio: 'pipe' })
}

/** What is said of a listener with these TLS options, and the files that were asked for. */
function say(tls: TlsTermination | TlsTermination[], now = Date.now()): { said: string[]; named: Set<string> } {
  return sayOf({ listeners: { web: http({ listen: ':8443', tls, routes: [{ respond: respond(200) }] }) } }, now)
}

function sayOf(config: unknown, now: number): { said: string[]; named: Set<string> } {
  const report = new Report()
  const named = new Set<string>()
  checkShape(config, { report, folder, named, now })
  const said = report.findings.map(({ severity, path, message }) =>
    `${severity}: ${formatPath(path)}: ${String(message)}`.replaceAll(`${folder}/`, '').replace(/\d{4}-\d\d-\d\d/, 'DATE'),
  )
  return { said, named }
}

withOpenssl('a certificate with its key is right, if not valid yet; both are files to watch', () => {
  const { said, named } = say({ cert: './web.pem', key: 'web.key' }, Date.now() - 20 * DAY_MS)
  assert.equal(said, ['warning: listeners.web.tls.cert: the certificate in web.pem is not valid before DATE'])
  assert.equal([...named], [join(folder, 'web.pem'), join(folder, 'web.key')])
})

withOpenssl('the key of another certificate does not fit', () => {
  assert.equal(
    say({ cert: 'chain.pem', key: 'other.key' }, Date.now()).said.at(-1),
    'error: listeners.web.tls.key: the key does not fit the certificate: it is the key of another one',
  )
})

withOpenssl('a certificate that ends soon, or has ended, is a warning', () => {
  const at = (days: number): string[] => say({ cert: 'web.pem', key: 'web.key' }, Date.now() + days * DAY_MS).said
  assert.equal(at(0.5), ['warning: listeners.web.tls.cert: the certificate in web.pem expires in 1 day, on DATE'])
  assert.equal(at(3), ['warning: listeners.web.tls.cert: the certificate in web.pem expired on DATE'])
})

const api = upstream('api', { endpoints: ['127.0.0.1:1'] })

withOpenssl('of a TCP route the files are looked at, and whether they are for its names', () => {
  const routes = [
    { sni: ['example.com', '*.example.com', 'a.example.com'], tls: { cert: 'web.pem', key: 'web.key' }, to: api },
    { sni: ['other.test', '*.a.example.com', 'a.example.com'], tls: { cert: 'web.pem', key: 'web.key' }, to: api },
    { tls: { cert: 'web.pem', key: 'other.key' }, to: http({ routes: [{ to: api }] }) },
  ]
  const { said, named } = sayOf({ listeners: { edge: tcp({ listen: ':8443', routes }) } }, Date.now())
  assert.equal(
    said.filter((line) => !line.includes('expires')),
    [
      'warning: listeners.edge.routes[1].tls.cert: the certificate is not for other.test, *.a.example.com: clients that ask for it will refuse it',
      'error: listeners.edge.routes[2].tls.key: the key does not fit the certificate: it is the key of another one',
    ],
  )
  assert.equal([...named], [join(folder, 'web.pem'), join(folder, 'web.key'), join(folder, 'other.key')])
})

withOpenssl('every certificate of a chain is looked at', () => {
  const { said } = say({ cert: 'chain.pem', key: 'web.key' }, Date.now() + 3 * DAY_MS)
  assert.equal(said, [
    'warning: listeners.web.tls.cert: the certificate in chain.pem expired on DATE',
    'warning: listeners.web.tls.cert: the certificate in chain.pem (number 2) expired on DATE',
  ])
})

withOpenssl('a file of another kind is named for what it is', () => {
  const cases = [
    [
      'web.key',
      'web.pem',
      [
        'there is no certificate in PEM form in web.key, only PRIVATE KEY',
        'there is no private key in PEM form in web.pem, only CERTIFICATE',
      ],
    ],
    [
      'web.der',
      'web.key',
      ['there is no certificate in PEM form in web.der; it looks like DER: openssl x509 -inform der -in FILE -out FILE.pem'],
    ],
    ['web.pem', 'encrypted.key', ['the key in encrypted.key is encrypted; remove its passphrase: openssl pkey -in KEY -out PLAIN']],
  ] as const
  for (const [cert, key, expected] of cases) {
    const errors = say({ cert, key }).said.filter((line) => line.startsWith('error'))
    assert.equal(
      errors.map((line) => line.replace(/^error: listeners\.web\.tls\.(cert|key): /, '')),
      expected,
    )
  }
  assert.match(
    say({ cert: 'broken.pem', key: 'web.key' }).said[0]!,
    /^error: listeners\.web\.tls\.cert: a certificate in broken\.pem cannot be read: /,
  )
})

withOpenssl('of several certificates each is looked at, and names that two of a kind cover', ({ server }) => {
  const twin = issue('twin', { names: 'DNS:example.com,DNS:*.example.com', rsa: true })
  const again = issue('again', { names: 'DNS:new.test,DNS:example.com' })
  const nameless = issue('nameless')
  const pair = ({ cert, key }: { cert: string; key: string }): TlsTermination => ({ cert, key })
  const { said, named } = say([
    { cert: 'web.pem', key: 'web.key' },
    pair(twin),
    pair(again),
    pair(nameless),
    { cert: 'no.pem', key: 'other.key' },
    { cert: server.cert, key: 'other.key' },
  ])
  assert.equal(
    said.filter((line) => !line.includes('expires')),
    [
      'error: listeners.web.tls[4].cert: there is no file no.pem',
      'error: listeners.web.tls[5].key: the key does not fit the certificate: it is the key of another one',
      'warning: listeners.web.tls[2].cert: example.com is covered by listeners.web.tls[0] already: this certificate is not served for it',
      'warning: listeners.web.tls[3].cert: the certificate names no host in its subjectAltName: only the first one is served for names that no certificate has',
      'warning: listeners.web.tls[5].cert: example.com, *.example.com is covered by listeners.web.tls[0] already: this certificate is not served for it',
    ],
  )
  assert.ok(named.has(join(folder, 'web.pem')) && named.has(join(folder, 'no.pem')))
  assert.equal(say([]).said, ['error: listeners.web.tls: an empty list: there is no certificate to serve'])
})

withOpenssl('options about client certificates go together, and alike for one name', ({ server, ca }) => {
  const { cert, key } = server
  const only = (tls: TlsTermination | TlsTermination[]): string[] => say(tls).said.filter((line) => line.startsWith('error'))
  const at = 'error: listeners.web.tls'
  assert.equal(only({ cert, key, clientCertificate: 'require' }), [
    `${at}.clientCertificate: whose certificates? add ca: './ca.pem', the authorities that sign those of clients`,
  ])
  const unasked = "clients are not asked for certificates: add clientCertificate: 'require' or 'request'"
  assert.equal(only({ cert, key, ca: ca.cert, forwardClientCertificate: true }), [
    `${at}.ca: ${unasked}`,
    `${at}.forwardClientCertificate: ${unasked}`,
  ])
  assert.equal(only({ cert, key, clientCertificate: 'request', ca: './no.pem' }), [`${at}.ca: there is no file no.pem`])
  const rsa = issue('rsa-twin', { names: 'DNS:example.com', rsa: true })
  assert.equal(
    only([
      { cert, key, clientCertificate: 'require', ca: ca.cert },
      { cert: rsa.cert, key: rsa.key },
    ]),
    [
      `${at}[1].cert: it shares a name with listeners.web.tls[0], but not its options: for one name there is one answer, so write the same in both`,
    ],
  )
})

withOpenssl('a staple is read and watched, and is for one certificate; a key log is warned of', ({ server }) => {
  const { cert, key } = server
  const at = 'listeners.web.tls'
  writeFileSync(join(folder, 'no.der'), server.cert)
  writeFileSync(
    join(folder, 'old.der'),
    Buffer.from(`300e0a0100a0000a${Buffer.from('').toString('hex')}a011180f${Buffer.from('20260101120000Z').toString('hex')}`, 'hex'),
  )
  const { said, named } = say({ cert, key, ocsp: 'no.der', keyLog: 'keys.log' })
  assert.ok(
    said.includes(
      `error: ${at}.ocsp: there is no good OCSP response in DER form in no.der: openssl ocsp -issuer CA.pem -cert CERT.pem -url URL -respout FILE`,
    ),
  )
  assert.ok(
    said.includes(
      `warning: ${at}.keyLog: whoever reads this file can read all traffic of the listener: for debugging alone, not for production`,
    ),
  )
  assert.equal([...named], [join(folder, 'no.der')], 'the key log changes by itself')
  assert.ok(
    say({ cert, key, ocsp: 'old.der' }).said.includes(
      `warning: ${at}.ocsp: the OCSP response in old.der was good until DATET12:00Z: clients refuse it`,
    ),
  )
  assert.ok(say({ cert, key, ocsp: 'none.der' }).said.includes(`error: ${at}.ocsp: there is no file none.der`))
  const twin = issue('stapled-twin', { names: 'DNS:example.com', rsa: true })
  const { said: twice } = say([
    { cert, key, ocsp: 'old.der' },
    { cert: twin.cert, key: twin.key },
  ])
  assert.ok(
    twice.includes(
      `error: ${at}[0].ocsp: a staple is for one certificate, and listeners.web.tls[1] shares a name with this one: leave ocsp out`,
    ),
  )
})

withOpenssl('PEM text in the config is taken as it is', ({ server }) => {
  const { said, named } = say({ cert: server.cert, key: server.key }, Date.now() + 3 * DAY_MS)
  assert.equal(said, ['warning: listeners.web.tls.cert: the certificate in the text given expired on DATE'])
  assert.is(named.size, 0)
})

withOpenssl('authorities and certificates of an upstream are looked at, once however often it is used', () => {
  const api = upstream('api', { endpoints: ['127.0.0.1:1'], tls: { ca: './no.pem', cert: 'web.pem', key: 'other.key' } })
  const routes = [
    { path: '/a', to: api },
    { path: '/b', to: api },
  ]
  const { said } = sayOf({ listeners: { web: http({ listen: ':1', routes }) } }, Date.now())
  const at = 'error: listeners.web.routes[0].to.tls'
  assert.equal(
    said.filter((line) => line.startsWith('error')),
    [`${at}.key: the key does not fit the certificate: it is the key of another one`, `${at}.ca: there is no file no.pem`],
  )
})

if (process.getuid?.() !== 0)
  withOpenssl('a file that may not be read is told so', () => {
    chmodSync(join(folder, 'other.key'), 0)
    assert.match(say({ cert: 'web.pem', key: 'other.key' }).said.join('\n'), /the file other\.key cannot be read: EACCES/)
  })

test.run()
