import { X509Certificate } from 'node:crypto'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { issueCertificate, makeAuthority } from '../../core/net/certificate.ts'
import { integer, objectId, tagged } from '../../core/net/der.ts'

const label = fc.stringMatching(/^[a-z]([a-z0-9-]{0,20}[a-z0-9])?$/)
const host = fc.oneof(
  fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.')),
  fc.ipV4(),
  fc.ipV6(),
)
/** Whole seconds, on both sides of 2050. */
const date = fc.integer({ min: 1_800_000_000, max: 4_000_000_000 }).map((seconds) => new Date(seconds * 1000))

test('what is issued says what it was made of, however many names', () => {
  const period = { from: new Date('2026-01-01T00:00:00Z'), to: new Date('2060-01-01T00:00:00Z') }
  const issuer = makeAuthority({ name: 'Authority ü', ...period })
  const authority = new X509Certificate(issuer.cert)
  fc.assert(
    fc.property(
      fc.array(host, { maxLength: 40 }),
      fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }),
      date,
      date,
      (hosts, name, from, to) => {
        const { cert } = issueCertificate({ issuer, name, use: 'server', hosts, from, to })
        const own = new X509Certificate(cert)
        assert.ok(own.verify(authority.publicKey) && own.checkIssued(authority))
        assert.equal([own.validFromDate, own.validToDate], [from, to])
        for (const one of hosts)
          assert.is.not(one.includes(':') || /^[\d.]+$/.test(one) ? own.checkIP(one) : own.checkHost(one), undefined, one)
      },
    ),
    { numRuns: 60 },
  )
})

test('lengths, integers and identifiers as X.690 has them', () => {
  assert.equal([...tagged(4, Buffer.alloc(127)).subarray(0, 2)], [4, 127])
  assert.equal([...tagged(4, Buffer.alloc(128)).subarray(0, 3)], [4, 0x81, 128])
  assert.equal([...tagged(4, Buffer.alloc(256)).subarray(0, 4)], [4, 0x82, 1, 0])
  assert.equal([...integer(Buffer.from([0, 0]))], [2, 1, 0])
  assert.equal([...integer(Buffer.from([0, 0x80]))], [2, 2, 0, 0x80])
  assert.is(objectId('1.2.840.10045.4.3.2').toString('hex'), '06082a8648ce3d040302')
})

test.run()
