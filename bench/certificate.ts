/** The certificate that every proxy of a lane with TLS presents: ECDSA P-256, self-signed. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { folder } from './processes.ts'

export interface CertificateFiles {
  readonly cert: string
  readonly key: string
  /** Both in one file, as HAProxy wants them. */
  readonly both: string
}

export function certificate(): CertificateFiles {
  const [cert, key, both] = [join(folder, 'cert.pem'), join(folder, 'key.pem'), join(folder, 'both.pem')] as const
  if (!existsSync(both)) {
    const options = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost'.split(' ')
    execFileSync('openssl', [...options, '-keyout', key, '-out', cert, '-addext', 'subjectAltName=DNS:localhost'], { stdio: 'ignore' })
    writeFileSync(both, readFileSync(cert, 'utf8') + readFileSync(key, 'utf8'))
  }
  return { cert, key, both }
}
