/** What a termination offers besides its certificate: versions, cipher suites, a staple, and keys for whoever debugs. */
import { execFile, execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type * as tls from 'node:tls'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { goodUntil, isOcspResponse } from '../../core/net/ocsp.ts'
import { type Certificates, certificateFolder, issue, terminate, withCertificates } from '../support/certificates.ts'
import { eventually } from '../support/deadline.ts'
import { type RunningProxy, startProxy } from '../support/proxy.ts'

const secure = withCertificates(test)

function come(proxy: RunningProxy, options: tls.ConnectionOptions = {}) {
  return proxy.connect({ tls: { servername: 'example.com', ...options } })
}

async function refusal(promise: Promise<Disposable>): Promise<string> {
  try {
    using _ = await promise
    return 'none'
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error)
  }
}

secure('minVersion: TLS 1.3 alone', async (made) => {
  await using proxy = await startProxy({ listener: { tls: terminate(made.server, { minVersion: 'TLSv1.3' }) } })
  using client = await come(proxy)
  assert.is((client.socket as tls.TLSSocket).getProtocol(), 'TLSv1.3')
  assert.match(await refusal(come(proxy, { maxVersion: 'TLSv1.2' })), /PROTOCOL_VERSION/)
})

secure('each name may have its own', async (made) => {
  const tlsPlan = [...terminate(made.other), ...terminate(made.server, { minVersion: 'TLSv1.3' })]
  await using proxy = await startProxy({ listener: { tls: tlsPlan } })
  using _ = await come(proxy, { servername: 'other.test', maxVersion: 'TLSv1.2' })
  assert.match(await refusal(come(proxy, { maxVersion: 'TLSv1.2' })), /PROTOCOL_VERSION/)
})

secure('the cipher suites are those of forward secrecy and AEAD, in our order unless the client wants ChaCha20 most', async (made) => {
  const rsa = issue('suites', { names: 'DNS:example.com', issuer: made.ca, rsa: true })
  await using proxy = await startProxy({ listener: { tls: terminate([made.server, rsa]) } })
  for (const cipher of ['AES128-GCM-SHA256', 'ECDHE-RSA-AES128-SHA', 'ECDHE-ECDSA-AES256-SHA384', 'DHE-RSA-AES128-GCM-SHA256'])
    assert.match(await refusal(come(proxy, { maxVersion: 'TLSv1.2', ciphers: `${cipher}:@SECLEVEL=0` })), /HANDSHAKE_FAILURE/, cipher)
  const [ecdsa, rsaOnly, tls13] = ['ECDHE-ECDSA-', 'ECDHE-RSA-', 'TLS_']
  for (const [offered, chosen] of [
    [[`${ecdsa}AES256-GCM-SHA384`, `${ecdsa}CHACHA20-POLY1305`, `${ecdsa}AES128-GCM-SHA256`], `${ecdsa}AES128-GCM-SHA256`],
    [[`${ecdsa}CHACHA20-POLY1305`, `${ecdsa}AES128-GCM-SHA256`], `${ecdsa}CHACHA20-POLY1305`],
    [[`${rsaOnly}AES256-GCM-SHA384`], `${rsaOnly}AES256-GCM-SHA384`],
    [[`${tls13}AES_256_GCM_SHA384`, `${tls13}AES_128_GCM_SHA256`], `${tls13}AES_128_GCM_SHA256`],
    [[`${tls13}CHACHA20_POLY1305_SHA256`, `${tls13}AES_128_GCM_SHA256`], `${tls13}CHACHA20_POLY1305_SHA256`],
  ] as const) {
    const isNew = chosen.startsWith(tls13)
    using client = await come(proxy, { ciphers: offered.join(':'), ...(!isNew && { maxVersion: 'TLSv1.2' }) })
    assert.is((client.socket as tls.TLSSocket).getCipher().name, chosen)
  }
})

/** What `openssl ocsp` says of the server's certificate. */
function makeStaple(made: Certificates, days: number): string {
  const { serialNumber } = new X509Certificate(made.server.cert)
  const index = join(certificateFolder, 'index.txt')
  writeFileSync(index, `V\t400101000000Z\t\t${serialNumber}\tunknown\t/CN=server\n`)
  const file = join(certificateFolder, `staple-${days}.der`)
  const signer = ['-rsigner', made.ca.certFile, '-rkey', made.ca.keyFile, '-CA', made.ca.certFile, '-issuer', made.ca.certFile]
  execFileSync('openssl', ['ocsp', '-index', index, ...signer, '-cert', made.server.certFile, '-ndays', String(days), '-respout', file], {
    stdio: 'pipe',
  })
  return file
}

secure('a staple is for those who ask, as openssl reads it; another plan is for the next handshake', async (made) => {
  const file = makeStaple(made, 2)
  await using proxy = await startProxy({ listener: { tls: terminate(made.server, { ocsp: file }) } })
  const args = ['s_client', '-connect', `127.0.0.1:${proxy.port}`, '-servername', 'example.com', '-status', '-CAfile', made.ca.certFile]
  const said = (): Promise<string> => openssl(args)
  assert.match(await said(), /OCSP Response Status: successful[\s\S]*Cert Status: good/)
  proxy.use({ listener: { tls: terminate(made.server) } })
  assert.match(await said(), /OCSP response: no response sent/)
})

secure('what is a staple, and until when it is good', (made) => {
  const bytes = readFileSync(makeStaple(made, 2))
  assert.ok(isOcspResponse(bytes))
  const left = goodUntil(bytes)!.getTime() - Date.now()
  assert.ok(left > 86_400_000 && left <= 2 * 86_400_000, `${left}`)
  for (const other of [Buffer.alloc(0), Buffer.from([0x30]), Buffer.from([0x30, 3, 0x0a, 1, 6]), new X509Certificate(made.server.cert).raw])
    assert.not(isOcspResponse(other))
})

secure('a key log gets the secrets of each connection, and is for its owner alone', async (made) => {
  const keyLog = join(certificateFolder, 'keys.log')
  await using proxy = await startProxy({ listener: { tls: terminate(made.server, { keyLog }) } })
  assert.is(statSync(keyLog).mode & 0o777, 0o600)
  using _ = await come(proxy)
  const written = await eventually(() => {
    const text = readFileSync(keyLog, 'utf8')
    return text.includes('SERVER_TRAFFIC_SECRET_0') ? text : undefined
  }, 'no keys')
  assert.match(written, /^[A-Z_0-9]+ [0-9a-f]{64} [0-9a-f]+$/m)
})

function openssl(args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile('openssl', args, { timeout: 5_000 }, (error, stdout) => (stdout === '' ? reject(error) : resolve(stdout)))
    child.stdin!.end()
  })
}

test.run()
