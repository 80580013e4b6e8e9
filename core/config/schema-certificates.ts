/** Certificates, keys and authorities that a config names: that they can be read, are in date, and are used together. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { createSecureContext } from 'node:tls'
import { goodUntil, isOcspResponse } from '../net/ocsp.ts'
import { filesOfAcme } from './acme-files.ts'
import type { Path } from './positions.ts'
import { isObject, type Plain, type Report } from './report.ts'
import type { Parts } from './schema-parts.ts'
import { checkServedNames } from './schema-served-names.ts'
import type { StorePart } from './schema-stores.ts'
import { checkTermination } from './schema-terminations.ts'

export interface CertificateOptions {
  /** Paths are from here. */
  readonly folder: string
  readonly now: number
  /** Gets the absolute path of every file that is asked for. */
  readonly named: Set<string>
  readonly stores?: readonly StorePart[]
}

const DAY_MS = 86_400_000
/** A certificate that ends sooner is warned of. */
const SOON_DAYS = 14

export function checkCertificates({ listeners, tcpRoutes, upstreams }: Parts, report: Report, options: CertificateOptions): void {
  const isPlain = listeners.some(({ kind, options: { tls }, inside }) => kind === 'http' && tls === undefined && inside?.isSecure !== true)
  const check = new CertificateCheck(report, { ...options, hasPlainHttp: isPlain })
  for (const { kind, options, path, inside } of listeners)
    if (kind === 'http' && inside === null) check.served(options.tls, [...path, 'tls'])
  for (const { route, path } of tcpRoutes) check.served(route.tls, [...path, 'tls'], [route.sni ?? []].flat())
  for (const { value, path } of upstreams) {
    if (!isObject(value) || !isObject(value.options)) continue
    const at: Path = [...path, { hidden: 'options' }, 'tls']
    check.both(value.options.tls, at)
    if (isObject(value.options.tls)) check.authorities(value.options.tls.ca, [...at, 'ca'])
    const { discovery } = value.options
    if (!isObject(discovery) || !isObject(discovery.options)) continue
    const registry: Path = [...path, { hidden: 'options' }, 'discovery', { hidden: 'options' }]
    check.both(discovery.options, registry)
    check.authorities(discovery.options.ca, [...registry, 'ca'])
  }
  for (const { value, path } of options.stores ?? []) {
    check.both(value, path)
    if (isObject(value)) check.authorities(value.ca, [...path, 'ca'])
  }
}

class CertificateCheck {
  readonly #report: Report
  readonly #options: CertificateOptions & { readonly hasPlainHttp: boolean }

  constructor(report: Report, options: CertificateOptions & { readonly hasPlainHttp: boolean }) {
    this.#report = report
    this.#options = options
  }

  /** One certificate, or several for the names in them. */
  served(tls: unknown, path: Path, names: readonly unknown[] = []): void {
    if (!Array.isArray(tls)) {
      const own = this.#terminated(tls, path)
      if (own !== null) this.#checkNames(own, names, [...path, 'cert'])
      return
    }
    const found = tls.entries().flatMap(([i, one]) => {
      const certificate = this.#terminated(one, [...path, i])
      return certificate === null ? [] : [{ certificate, options: one as Plain, path: [...path, i] }]
    })
    checkServedNames([...found], this.#report)
  }

  /** A certificate and its key, as far as they are there; the certificate, if it can be read. */
  both(tls: unknown, path: Path): X509Certificate | null {
    if (!isObject(tls)) return null
    const chain = this.#certificates(tls.cert, [...path, 'cert'])
    const key = this.#key(tls.key, [...path, 'key'])
    const [own] = chain ?? []
    if (own === undefined) return null
    if (key !== null && !own.checkPrivateKey(key))
      this.#report.error([...path, 'key'], 'the key does not fit the certificate: it is the key of another one')
    else if (key !== null) this.#use(tls, path)
    return own
  }

  #terminated(tls: unknown, path: Path): X509Certificate | null {
    if (!isObject(tls)) return null
    checkTermination(tls, path, this.#report)
    if (isObject(tls.acme)) return this.#acme(tls.acme, [...path, 'acme'])
    this.#staple(tls.ocsp, [...path, 'ocsp'])
    this.authorities(tls.ca, [...path, 'ca'])
    return this.both(tls, path)
  }

  /** What there is so far: an authority that has given nothing yet is no fault of the config. */
  #acme(options: Plain, path: Path): X509Certificate | null {
    this.authorities(options.directoryCa, [...path, 'directoryCa'])
    if (options.challenge === 'http-01' && !this.#options.hasPlainHttp)
      this.#report.error(
        [...path, 'challenge'],
        "http-01 is answered over plain HTTP, and no listener speaks it: add one on port 80, or take 'tls-alpn-01'",
      )
    this.#dns(options, path)
    const { file } = filesOfAcme(options, this.#options.folder) ?? {}
    if (file === undefined) return null
    this.#options.named.add(file)
    return existsSync(file) ? this.both({ cert: file, key: file }, path) : null
  }

  /** RFC 8555 §8.4; what is above many names can be shown in no other way. */
  #dns({ names, challenge, dns }: Plain, path: Path): void {
    const above = [names].flat().find((name) => typeof name === 'string' && name.startsWith('*.'))
    if (challenge !== 'dns-01' && above !== undefined)
      this.#report.error(
        [...path, 'names'],
        `${above} takes a challenge by DNS: challenge: 'dns-01', and dns: { set, remove } to change records of your zone`,
      )
    if (challenge === 'dns-01' && dns === undefined)
      this.#report.error([...path, 'challenge'], 'dns-01 is shown by a record of your zone: say how it is set, with dns: { set, remove }')
    if (challenge !== 'dns-01' && dns !== undefined)
      this.#report.error([...path, 'dns'], "this is for challenge: 'dns-01'; another one changes no records", 'key')
  }

  authorities(ca: unknown, path: Path): void {
    this.#certificates(ca, path)
  }

  #certificates(value: unknown, path: Path): readonly X509Certificate[] | null {
    const pem = this.#read(value, path)
    if (pem === null) return null
    const blocks = pem.text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g)
    if (blocks === null) {
      this.#report.error(path, `there is no certificate in PEM form in ${pem.name}${hint(pem.text)}`)
      return null
    }
    try {
      const certificates = blocks.map((block) => new X509Certificate(block))
      for (const [i, certificate] of certificates.entries())
        this.#checkDates(certificate, path, i === 0 ? pem.name : `${pem.name} (number ${i + 1})`)
      return certificates
    } catch (error) {
      this.#report.error(path, `a certificate in ${pem.name} cannot be read: ${reasonOf(error)}`)
      return null
    }
  }

  #checkNames(certificate: X509Certificate, names: readonly unknown[], path: Path): void {
    const missing = names.filter((name) => typeof name === 'string' && /^[\x21-\x7e]+$/.test(name) && !isFor(certificate, name))
    if (missing.length > 0)
      this.#report.warn(path, `the certificate is not for ${missing.join(', ')}: clients that ask for it will refuse it`)
  }

  #staple(value: unknown, path: Path): void {
    if (typeof value !== 'string' || value === '') return
    const file = resolve(this.#options.folder, value)
    this.#options.named.add(file)
    const bytes = this.#reading(file, path, () => readFileSync(file))
    if (bytes === null) return
    if (!isOcspResponse(bytes)) {
      const how = 'openssl ocsp -issuer CA.pem -cert CERT.pem -url URL -respout FILE'
      this.#report.error(path, `there is no good OCSP response in DER form in ${file}: ${how}`)
      return
    }
    const until = goodUntil(bytes)
    if (until !== null && until.getTime() <= this.#options.now)
      this.#report.warn(path, `the OCSP response in ${file} was good until ${until.toISOString().slice(0, 16)}Z: clients refuse it`)
  }

  #reading<T>(file: string, path: Path, read: () => T): T | null {
    try {
      return read()
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
      this.#report.error(path, code === 'ENOENT' ? `there is no file ${file}` : `the file ${file} cannot be read: ${code}`)
      return null
    }
  }

  #checkDates({ validFromDate, validToDate }: X509Certificate, path: Path, name: string): void {
    const { now } = this.#options
    const left = validToDate.getTime() - now
    const day = (date: Date): string => date.toISOString().slice(0, 10)
    if (left <= 0) this.#report.warn(path, `the certificate in ${name} expired on ${day(validToDate)}`)
    else if (left < SOON_DAYS * DAY_MS) {
      const days = Math.floor(left / DAY_MS)
      this.#report.warn(path, `the certificate in ${name} expires in ${days === 1 ? '1 day' : `${days} days`}, on ${day(validToDate)}`)
    }
    if (validFromDate.getTime() > now) this.#report.warn(path, `the certificate in ${name} is not valid before ${day(validFromDate)}`)
  }

  #key(value: unknown, path: Path): KeyObject | null {
    const pem = this.#read(value, path)
    if (pem === null) return null
    if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(pem.text)) {
      this.#report.error(path, `there is no private key in PEM form in ${pem.name}${hint(pem.text)}`)
      return null
    }
    if (/-----BEGIN ENCRYPTED|Proc-Type: 4,ENCRYPTED/.test(pem.text)) {
      this.#report.error(path, `the key in ${pem.name} is encrypted; remove its passphrase: openssl pkey -in KEY -out PLAIN`)
      return null
    }
    try {
      return createPrivateKey(pem.text)
    } catch (error) {
      this.#report.error(path, `the key in ${pem.name} cannot be read: ${reasonOf(error)}`)
      return null
    }
  }

  /** What else keeps OpenSSL from using them: a key too short, an algorithm it does not allow. */
  #use({ cert, key }: Plain, path: Path): void {
    try {
      createSecureContext({ cert: this.#textOf(String(cert)), key: this.#textOf(String(key)) })
    } catch (error) {
      this.#report.error(path, `the certificate and the key cannot be used: ${reasonOf(error)}`)
    }
  }

  /** PEM text as it is given, or of a file; null if there is none, which is said here if a file is to blame. */
  #read(value: unknown, path: Path): { readonly text: string; readonly name: string } | null {
    if (typeof value !== 'string' || value === '') return null
    if (isPem(value)) return { text: value, name: 'the text given' }
    const file = resolve(this.#options.folder, value)
    this.#options.named.add(file)
    return this.#reading(file, path, () => ({ text: this.#textOf(value), name: file }))
  }

  #textOf(fileOrPem: string): string {
    return isPem(fileOrPem) ? fileOrPem : readFileSync(resolve(this.#options.folder, fileOrPem), 'utf8')
  }
}

/** `*.example.com` stands for one label here: deeper names have certificates of their own, if any. */
function isFor(certificate: X509Certificate, name: string): boolean {
  return certificate.checkHost(name.startsWith('*.') ? `any${name.slice(1)}` : name) !== undefined
}

function isPem(value: string): boolean {
  return value.includes('-----BEGIN')
}

/** What else was found. */
function hint(text: string): string {
  const label = /-----BEGIN ([A-Z0-9 ]+)-----/.exec(text)?.[1]
  if (label !== undefined) return `, only ${label}`
  return text.includes('\uFFFD') ? '; it looks like DER: openssl x509 -inform der -in FILE -out FILE.pem' : ''
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
