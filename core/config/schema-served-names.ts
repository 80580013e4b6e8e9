/** Several certificates of one listener: that each is served for some name, and that no two claim the same one. */
import type { X509Certificate } from 'node:crypto'
import { keyKind, namesOf } from '../net/certificate-names.ts'
import { formatPath, type Path } from './positions.ts'
import type { Plain, Report } from './report.ts'

export interface ServedCertificate {
  readonly certificate: X509Certificate
  readonly options: Plain
  /** Of its options. */
  readonly path: Path
}

/** An ECDSA and an RSA certificate may share their names: clients get the one they can use. */
export function checkServedNames(served: readonly ServedCertificate[], report: Report): void {
  const claimed = new Map<string, ServedCertificate>()
  for (const [i, one] of served.entries()) {
    const at: Path = [...one.path, 'cert']
    const names = namesOf(one.certificate)
    if (names.length === 0 && i > 0)
      report.warn(at, 'the certificate names no host in its subjectAltName: only the first one is served for names that no certificate has')
    const twice = new Map<ServedCertificate, string[]>()
    const unlike = served
      .slice(0, i)
      .find((other) => !isAlike(one, other) && names.some((name) => namesOf(other.certificate).includes(name)))
    if (unlike !== undefined)
      report.error(
        at,
        `it shares a name with ${formatPath(unlike.path)}, but not its options: for one name there is one answer, so write the same in both`,
      )
    const twin = served.find((other) => other !== one && names.some((name) => namesOf(other.certificate).includes(name)))
    if (twin !== undefined && one.options.ocsp !== undefined)
      report.error(
        [...one.path, 'ocsp'],
        `a staple is for one certificate, and ${formatPath(twin.path)} shares a name with this one: leave ocsp out`,
      )
    for (const name of names) {
      const key = `${keyKind(one.certificate)} ${name}`
      const first = claimed.get(key)
      if (first === undefined) claimed.set(key, one)
      else twice.set(first, [...(twice.get(first) ?? []), name])
    }
    for (const [first, shared] of twice)
      report.warn(at, `${listed(shared)} is covered by ${formatPath(first.path)} already: this certificate is not served for it`)
  }
}

/** But for the certificate itself. */
function isAlike(one: ServedCertificate, other: ServedCertificate): boolean {
  const shared = ({ options: { cert: _, key: __, ocsp: ___, ...rest } }: ServedCertificate): string =>
    JSON.stringify(Object.entries(rest).sort())
  return shared(one) === shared(other)
}

function listed(names: readonly string[]): string {
  return names.length > 3 ? `${names.slice(0, 3).join(', ')}, …` : names.join(', ')
}
