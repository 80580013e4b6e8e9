/** `sluice ca`: the operator's authority for interception (core/forward/authority.ts) as a person deals with it: made, looked at, trusted. */
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { type AuthorityFiles, createAuthority, dayOf, exposureOf, openAuthority } from '../forward/authority.ts'
import { exitCodes } from './exit-codes.ts'
import { shortPath } from './short-path.ts'

export interface CaCreateOptions {
  readonly dir: string
  readonly days: number
  readonly name: string | null
  /** Domains that it may sign for; empty: all. */
  readonly permit: readonly string[]
}

const DOMAIN = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/

/** What is wrong with a domain of `--permit`, as a sentence; null: nothing. */
export function faultOfDomain(domain: string): string | null {
  if (DOMAIN.test(domain) && domain.length <= 253) return null
  return `--permit takes a domain, which stands for all under it too, such as example.com: not ${JSON.stringify(domain)}`
}

export function runCaCreate({ dir, days, name, permit }: CaCreateOptions): number {
  const files = filesIn(dir)
  const inTheWay = [files.cert, files.key].filter((file) => existsSync(file)).map(shortPath)
  if (inTheWay.length > 0)
    return refuse(
      `${inTheWay.join(' and ')} ${inTheWay.length === 1 ? 'is' : 'are'} there already, and clients may trust what is there: nothing was written; --dir names another folder`,
    )
  try {
    createAuthority(files, { days, ...(name === null ? {} : { name }), permitted: permit.length === 0 ? null : permit })
  } catch (error) {
    return refuse(`the authority cannot be written: ${textOf(error)}`)
  }
  describe(files)
  const [cert, key] = [typed(files.cert), typed(files.key)]
  process.stdout.write(`
In the config, of a forward proxy whose users know of it:
  intercept: intercept({ ca: { cert: '${cert}', key: '${key}' } })

Whoever has ${shortPath(files.key)} can pretend to be any site to those who trust it: it never leaves this machine. How clients trust the certificate:
  sluice ca trust-help${dir === '.' ? '' : ` --dir ${dir}`}
`)
  return exitCodes.ok
}

export function runCaShow({ dir }: { readonly dir: string }): number {
  const files = filesIn(dir)
  const missing = missingOf(files)
  if (missing !== null) return refuse(missing)
  try {
    describe(files)
  } catch (error) {
    return refuse(`the authority in ${shortPath(files.cert)} cannot be used: ${textOf(error)}`)
  }
  return exitCodes.ok
}

export function runCaTrustHelp({ dir }: { readonly dir: string }): number {
  const files = filesIn(dir)
  if (!existsSync(files.cert)) return refuse(missingOf(files)!)
  const ca = typed(files.cert)
  process.stdout.write(`Trust ${ca} (never the key) on machines whose users know that their traffic is read:

  Debian, Ubuntu   sudo cp ${ca} /usr/local/share/ca-certificates/sluice.crt && sudo update-ca-certificates
  Fedora, RHEL     sudo trust anchor ${ca}
  macOS            sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain ${ca}
  Windows          certutil -addstore -user Root ${ca}
  Firefox          Settings, Certificates, View Certificates, Authorities, Import (or policies.json: "Certificates": { "Install": ["${files.cert}"] })
  Chrome on Linux  certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n sluice -i ${ca}
  Node             NODE_EXTRA_CA_CERTS=${ca} node …
  curl             curl --cacert ${ca} -x http://PROXY https://…
  Python requests  REQUESTS_CA_BUNDLE=${ca} python …
  git              git config --global http.sslCAInfo ${ca}

To stop trusting it, undo the same: Debian removes the file and runs sudo update-ca-certificates --fresh.
Programs that accept their own certificates alone (pinning) go on refusing it: their hosts belong into except.
`)
  return exitCodes.ok
}

function describe(files: AuthorityFiles): void {
  const { certificate } = openAuthority(files, Date.now())
  const rows = [
    ['certificate', shortPath(files.cert)],
    ['key', `${shortPath(files.key)} (${exposureOf(files.key) ?? 'for your eyes alone'})`],
    ['name', certificate.subject.replaceAll('\n', ', ')],
    ['valid', `${dayOf(certificate.validFromDate)} to ${dayOf(certificate.validToDate)}`],
    ['SHA-256', certificate.fingerprint256],
  ]
  process.stdout.write(rows.map(([what, text]) => `  ${what!.padEnd(12)} ${text}\n`).join(''))
}

function filesIn(dir: string): AuthorityFiles {
  const folder = resolve(dir)
  return { cert: join(folder, 'ca.pem'), key: join(folder, 'ca.key') }
}

function missingOf({ cert, key }: AuthorityFiles): string | null {
  const missing = [cert, key].filter((file) => !existsSync(file)).map(shortPath)
  return missing.length === 0
    ? null
    : `there is no ${missing.join(' and no ')}: sluice ca create makes an authority, --dir names another folder`
}

/** As it stands in a config or a command. */
function typed(file: string): string {
  const path = shortPath(file)
  return path.startsWith('/') ? path : `./${path}`
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function refuse(message: string): number {
  process.stderr.write(`sluice: ${message}\n`)
  return exitCodes.failed
}
