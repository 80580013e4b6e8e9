/**
 * `sluice cert dev`: an authority of one's own and certificates by it, for trying things out. The authority stays once it is made, so
 * it is trusted once; a certificate that is there is replaced only when that is asked for.
 */
import { X509Certificate } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { hostname, userInfo } from 'node:os'
import { join, resolve } from 'node:path'
import { issueCertificate, makeAuthority } from '../net/certificate.ts'
import type { Issued } from '../net/certificate-issuer.ts'
import { exitCodes } from './exit-codes.ts'
import { shortPath } from './short-path.ts'

export interface CertDevOptions {
  readonly names: readonly string[]
  readonly dir: string
  readonly days: number
  /** Also a certificate of a client of that name. */
  readonly client: string | null
  readonly force: boolean
}

const DAY_MS = 86_400_000
const AUTHORITY_DAYS = 3_650
/** A clock elsewhere may be behind. */
const BEFORE_MS = 3_600_000
const LOCAL = ['localhost', '127.0.0.1', '::1']
const HOST = /^(?:\*\.)?[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/

/** Who has such a name is asked for it, and asks others: its certificate is for both sides. */
const URI = /^[a-z][a-z0-9+.-]{0,30}:\/\/[a-z0-9.-]+(?:\/[\w.~%!$&()*+,;=:@/-]*)?$/i

/** What is wrong with a name, as a sentence; null: nothing. */
export function faultOfName(name: string): string | null {
  if (isIP(name) !== 0 || (HOST.test(name) && name.length <= 253) || (URI.test(name) && name.length <= 2048)) return null
  return `${JSON.stringify(name)} is no name of a host and no address, nor a URI: api.example.test, *.example.test, 192.0.2.7, spiffe://example.test/api`
}

export function runCertDev({ names, dir, days, client, force }: CertDevOptions): number {
  const folder = resolve(dir)
  const wanted = ['dev', ...(client === null ? [] : [`client-${client}`])]
  const inTheWay = wanted.flatMap((name) => [`${name}.pem`, `${name}.key`]).filter((file) => existsSync(join(folder, file)))
  if (inTheWay.length > 0 && !force) {
    const files = inTheWay.map((file) => shortPath(join(folder, file))).join(', ')
    return refuse(
      `${files} ${inTheWay.length === 1 ? 'is' : 'are'} there already: nothing was written; --force replaces, --dir names another folder`,
    )
  }
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const now = Date.now()
  const authority = openAuthority(folder, now)
  if (typeof authority === 'string') return refuse(authority)
  const to = new Date(now + days * DAY_MS)
  const period = { issuer: authority, from: new Date(now - BEFORE_MS), to }
  const hosts = [...new Set([...names, ...LOCAL])]
  const isUri = (name: string): boolean => URI.test(name)
  const name = hosts.find((host) => !isUri(host))!
  write(folder, 'dev', issueCertificate({ ...period, name, use: hosts.some(isUri) ? 'both' : 'server', hosts }))
  say(folder, 'dev.pem', `for ${hosts.join(', ')}, until ${to.toISOString().slice(0, 10)}`)
  if (client !== null) {
    write(folder, `client-${client}`, issueCertificate({ ...period, name: client, use: 'client', hosts: [] }))
    say(folder, `client-${client}.pem`, `of the client ${client}`)
  }
  process.stdout.write(advice(folder, client))
  return exitCodes.ok
}

/** The one that is there, or a new one; a sentence if there is half of one. */
function openAuthority(folder: string, now: number): Issued | string {
  const [certFile, keyFile] = [join(folder, 'dev-ca.pem'), join(folder, 'dev-ca.key')]
  if (existsSync(certFile) && existsSync(keyFile)) {
    const found = { cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') }
    if (new X509Certificate(found.cert).validToDate.getTime() < now) return `the authority in ${shortPath(certFile)} has expired: remove it`
    say(folder, 'dev-ca.pem', 'the authority, as it was')
    return found
  }
  for (const file of [certFile, keyFile]) if (existsSync(file)) return `${shortPath(file)} is there without its other half: remove it`
  const name = `Sluice development CA of ${userInfo().username} on ${hostname()}`
  const made = makeAuthority({ name: name.slice(0, 64), from: new Date(now - BEFORE_MS), to: new Date(now + AUTHORITY_DAYS * DAY_MS) })
  write(folder, 'dev-ca', made)
  say(folder, 'dev-ca.pem', 'the authority, new: trust this one')
  return made
}

/** Whole or not at all: a proxy may be watching. The key first, so that the pair is complete with the certificate. */
function write(folder: string, name: string, { cert, key }: Issued): void {
  for (const [file, text] of [
    [`${name}.key`, key],
    [`${name}.pem`, cert],
  ] as const) {
    const path = join(folder, file)
    writeFileSync(`${path}.new`, text, { mode: 0o600 })
    renameSync(`${path}.new`, path)
  }
}

function advice(folder: string, client: string | null): string {
  const at = (file: string): string => {
    const path = shortPath(join(folder, file))
    return path.startsWith('/') ? path : `./${path}`
  }
  const [cert, key, ca] = [at('dev.pem'), at('dev.key'), at('dev-ca.pem')]
  const asks = client === null ? '' : `, clientCertificate: 'require', ca: '${ca}'`
  const shows = client === null ? '' : ` --cert ${at(`client-${client}.pem`)} --key ${at(`client-${client}.key`)}`
  return `
In the config:
  tls: { cert: '${cert}', key: '${key}'${asks} }

To trust the authority for one command:
  curl --cacert ${ca}${shows} https://localhost:8443/
  NODE_EXTRA_CA_CERTS=${ca} node …
For all of this machine (whoever has dev-ca.key can then pretend to be any site: keep it to yourself, and remove the authority when you are done):
  Debian, Ubuntu  sudo cp ${ca} /usr/local/share/ca-certificates/sluice-dev.crt && sudo update-ca-certificates
  Fedora          sudo trust anchor ${ca}
  macOS           sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain ${ca}
  Windows         certutil -addstore -user Root ${ca}
  Firefox         Settings, Certificates, Authorities, Import
`
}

function say(folder: string, file: string, what: string): void {
  process.stdout.write(`  ${shortPath(join(folder, file)).padEnd(24)} ${what}\n`)
}

function refuse(message: string): number {
  process.stderr.write(`sluice: ${message}\n`)
  return exitCodes.failed
}
