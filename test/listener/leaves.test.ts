/** Certificates that an authority signs for hosts as they are asked for: for how long, how many, and by what kinds of authorities. */

import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Leaves } from '../../core/listener/leaves.ts'
import type { Termination } from '../../core/listener/termination.ts'
import { makeAuthority } from '../../core/net/certificate.ts'
import { readIssuer } from '../../core/net/certificate-issuer.ts'
import { Counters, type Series } from '../../core/observe/counters.ts'
import { AuthorityGauges } from '../../core/process/authority-gauges.ts'
import { certificateFolder, issue, withCertificates } from '../support/certificates.ts'

const DAY_MS = 86_400_000
const start = Date.parse('2026-06-01T00:00:00Z')
const authority = makeAuthority({ name: 'Own', from: new Date(start - DAY_MS), to: new Date(start + 40 * DAY_MS) })
const issuer = readIssuer(authority)

function certificateOf({ context }: Termination): X509Certificate {
  return new X509Certificate((context.context as unknown as { getCertificate(): Buffer }).getCertificate())
}

test('a host has one certificate until half of its time is over, and none that outlives the authority', () => {
  let now = start
  const leaves = new Leaves({ issuer, chain: '', ticketKeys: null, now: () => now })
  const first = leaves.for('example.com')
  const { validFromDate, validToDate, subjectAltName } = certificateOf(first)
  assert.equal([validFromDate.getTime(), validToDate.getTime()], [start - DAY_MS, start + 30 * DAY_MS])
  assert.is(subjectAltName, 'DNS:example.com')
  now += 14 * DAY_MS
  assert.is(leaves.for('example.com'), first)
  now += DAY_MS
  const second = leaves.for('example.com')
  assert.is.not(second, first)
  assert.is(certificateOf(second).validToDate.getTime(), start + 40 * DAY_MS)
  assert.is(leaves.made, 2)
})

test('of more than so many, the one asked for longest ago is made anew', () => {
  const leaves = new Leaves({ issuer, chain: '', ticketKeys: null, now: () => start, most: 2 })
  const [a] = ['a.test', 'b.test'].map((host) => leaves.for(host))
  assert.is(leaves.for('a.test'), a)
  leaves.for('c.test')
  assert.is(leaves.for('a.test'), a)
  assert.is(leaves.made, 3)
  leaves.for('b.test')
  assert.is(leaves.made, 4)
})

test('what was made, is kept, went and was refused is counted by its authority, over all that are read', () => {
  const leaves = new Leaves({ issuer, chain: '', ticketKeys: null, now: () => start, most: 2 })
  for (const host of ['a.test', 'b.test', 'c.test', 'c.test']) leaves.for(host)
  leaves.refused++
  const counters = new Counters()
  const gauges = new AuthorityGauges(counters, 3)
  const told = (): Readonly<Record<string, number>> => {
    const { delta, values } = counters.snapshot()
    if (delta.length > 0) names.push(...delta)
    return Object.fromEntries(names.map(({ family, labels }, i) => [`${family} ${labels.join(' ')}`, values[i]!]))
  }
  const names: Series[] = []
  gauges.measure([['/ca.pem', leaves]])
  gauges.measure([['/ca.pem', leaves]])
  const { 'intercept_certificates_making_seconds_total /ca.pem': seconds, ...counts } = told()
  assert.equal(counts, {
    'intercept_certificates_made_total /ca.pem': 3,
    'intercept_certificates /ca.pem 3': 2,
    'intercept_certificates_evicted_total /ca.pem': 1,
    'intercept_certificates_refused_total /ca.pem': 1,
  })
  assert.is(seconds, leaves.makingMs / 1000)
  assert.ok(leaves.makingMs > 0)
  // The file has changed: another authority, which has made nothing yet.
  const next = new Leaves({ issuer, chain: '', ticketKeys: null, now: () => start })
  next.for('a.test')
  gauges.measure([['/ca.pem', next]])
  assert.equal([told()['intercept_certificates_made_total /ca.pem'], told()['intercept_certificates /ca.pem 3']], [4, 1])
  gauges.measure([])
  assert.is(told()['intercept_certificates /ca.pem 3'], 0)
})

withCertificates(test)('an authority of RSA, or one below another, signs what openssl verifies', ({ ca }) => {
  const now = Date.now()
  const rsa = issue('rsa-ca', { rsa: true, extensions: ['basicConstraints=critical,CA:TRUE'], subject: '/O=Acme, Inc./C=DE' })
  const below = issue('below-ca', { issuer: ca, extensions: ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign'] })
  for (const [pair, root, chain] of [
    [rsa, rsa, ''],
    [below, ca, below.cert],
  ] as const) {
    const leaves = new Leaves({ issuer: readIssuer(pair), chain, ticketKeys: null, now: () => now })
    const own = certificateOf(leaves.for('example.com'))
    const file = join(certificateFolder, 'leaf.pem')
    writeFileSync(file, own.toString())
    const untrusted = chain === '' ? [] : ['-untrusted', below.certFile]
    assert.match(execFileSync('openssl', ['verify', '-CAfile', root.certFile, ...untrusted, file]).toString(), ': OK')
  }
})

withCertificates(test)('what is no authority, or has another key, is refused with a sentence', ({ ca, server }) => {
  const leaf = issue('leaf', { issuer: ca, extensions: ['basicConstraints=critical,CA:FALSE'] })
  assert.throws(() => readIssuer(leaf), 'not that of an authority')
  assert.throws(() => readIssuer({ cert: ca.cert, key: server.key }), 'its key is not that of its certificate')
  assert.throws(() => readIssuer({ cert: 'x', key: ca.key }), /its certificate cannot be read/)
  const signsNothing = issue('no-sign', { extensions: ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,digitalSignature'] })
  assert.throws(() => readIssuer(signsNothing), 'may not sign others')
})

test.run()
