/**
 * Certificates for a test, made by the `openssl` command line in a temporary folder that goes with the process. Tests that need them
 * are skipped, and say so, where that command is missing.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'uvu'

export interface Pair {
  /** PEM texts. */
  readonly cert: string
  readonly key: string
  readonly certFile: string
  readonly keyFile: string
}

export interface Certificates {
  /** The authority that signed `server`, `other` and `client`. */
  readonly ca: Pair
  /** For example.com, *.example.com and 127.0.0.1. */
  readonly server: Pair
  /** For other.test alone. */
  readonly other: Pair
  /** For example.com, signed by nobody else. */
  readonly selfSigned: Pair
  readonly client: Pair
}

/** Null without `openssl`. */
export const certificates: Certificates | null = makeAll()

type Register = (name: string, run: (made: Certificates) => Promise<void> | void) => void

/** `test` for those that need certificates. */
export function withCertificates(test: Test): Register {
  return (name, run) => {
    if (certificates !== null) test(name, () => run(certificates!))
    else test.skip(name)
  }
}

function makeAll(): Certificates | null {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-certificates-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  try {
    const ca = make(folder, 'ca', ['basicConstraints=critical,CA:TRUE'], null)
    const names = 'subjectAltName=DNS:example.com,DNS:*.example.com,IP:127.0.0.1'
    return {
      ca,
      server: make(folder, 'server', [names], ca),
      other: make(folder, 'other', ['subjectAltName=DNS:other.test'], ca),
      selfSigned: make(folder, 'self-signed', [names], null),
      client: make(folder, 'client', ['extendedKeyUsage=clientAuth'], ca),
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    console.log('SKIPPED: there is no `openssl` command to make certificates with')
    return null
  }
}

function make(folder: string, name: string, extensions: readonly string[], issuer: Pair | null): Pair {
  const certFile = join(folder, `${name}.pem`)
  const keyFile = join(folder, `${name}.key`)
  const signer = issuer === null ? [] : ['-CA', issuer.certFile, '-CAkey', issuer.keyFile]
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', `/CN=${name}`],
      ...['-keyout', keyFile, '-out', certFile, ...signer, ...extensions.flatMap((extension) => ['-addext', extension])],
    ],
    { stdio: 'pipe' },
  )
  return { cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8'), certFile, keyFile }
}
