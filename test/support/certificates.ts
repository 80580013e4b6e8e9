/**
 * Certificates for a test, made by the `openssl` command line in a temporary folder that goes with the process. Tests that need them
 * are skipped, and say so, where that command is missing.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'uvu'
import type { TlsPlan } from '../../core/plan/plan.ts'

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

const P256 = ['ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1']
export const certificateFolder = mkdtempSync(join(tmpdir(), 'sluice-certificates-'))

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

/** A listener's TLS with these certificates, the first for all names that none of them has. */
export function terminate(pairs: Pair | readonly Pair[], options: Partial<Omit<TlsPlan, 'cert' | 'key'>> = {}): TlsPlan[] {
  const list = Array.isArray(pairs) ? (pairs as readonly Pair[]) : [pairs as Pair]
  return list.map(({ certFile: cert, keyFile: key }) => ({
    cert,
    key,
    acme: null,
    alpn: ['http/1.1'],
    clients: null,
    minVersion: 'TLSv1.2',
    ocsp: null,
    keyLog: null,
    ...options,
  }))
}

export interface IssueOptions {
  /** `DNS:example.com`; more than one by commas. */
  readonly names?: string
  readonly issuer?: Pair | null
  readonly rsa?: boolean
  readonly extensions?: readonly string[]
  /** What follows `/CN=NAME` in its subject. */
  readonly subject?: string
}

/** One more certificate, for the files of one test. */
export function issue(name: string, { names, issuer = null, rsa = false, extensions = [], subject = '' }: IssueOptions = {}): Pair {
  const all = names === undefined ? extensions : [`subjectAltName=${names}`, ...extensions]
  return make(certificateFolder, name, all, issuer, rsa ? ['rsa:2048'] : undefined, subject)
}

function makeAll(): Certificates | null {
  const folder = certificateFolder
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

function make(folder: string, name: string, extensions: readonly string[], issuer: Pair | null, kind = P256, subject = ''): Pair {
  const certFile = join(folder, `${name}.pem`)
  const keyFile = join(folder, `${name}.key`)
  const signer = issuer === null ? [] : ['-CA', issuer.certFile, '-CAkey', issuer.keyFile]
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', ...kind, '-nodes', '-days', '2', '-subj', `/CN=${name}${subject}`],
      ...['-keyout', keyFile, '-out', certFile, ...signer, ...extensions.flatMap((extension) => ['-addext', extension])],
    ],
    { stdio: 'pipe' },
  )
  return { cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8'), certFile, keyFile }
}
