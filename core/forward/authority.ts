/**
 * The operator's authority, which clients of the forward side are to trust: its two files. Whoever has the key can pretend to be any site to
 * them, so a key that others can read is not used, and nothing that is there is replaced.
 */
import { existsSync, linkSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { hostname, userInfo } from 'node:os'
import { dirname } from 'node:path'
import { type AuthorityOptions, makeAuthority } from '../net/certificate.ts'
import { type Issuer, readIssuer } from '../net/certificate-issuer.ts'

/** Absolute paths. */
export interface AuthorityFiles {
  readonly cert: string
  readonly key: string
}

const DAY_MS = 86_400_000
/** A clock elsewhere may be behind. */
const BEFORE_MS = DAY_MS
export const AUTHORITY_DAYS = 3_650
/** Others than the owner and its group may do nothing; the group may read, as where a service has a user of its own. */
const FOR_OTHERS = 0o027
/** Somebody else has just made the one file, and makes the other. */
const [STEPS, STEP_MS] = [40, 25]

/** Throws, with a sentence, if it cannot be used. `now`: ms since the epoch. */
export function openAuthority(files: AuthorityFiles, now: number): Issuer {
  const exposed = exposureOf(files.key)
  if (exposed !== null) throw new Error(exposed)
  const issuer = readIssuer({ cert: readFileSync(files.cert, 'utf8'), key: readFileSync(files.key, 'utf8') })
  const { validFromDate, validToDate } = issuer.certificate
  if (validToDate.getTime() <= now) throw new Error(`its certificate has expired on ${dayOf(validToDate)}`)
  if (validFromDate.getTime() > now) throw new Error(`its certificate is not valid before ${dayOf(validFromDate)}`)
  return issuer
}

/** Who else may use the key, as a sentence; null: nobody. Throws if there is no such file. */
export function exposureOf(keyFile: string): string | null {
  // Windows has no such modes.
  if (process.platform === 'win32') return null
  const mode = statSync(keyFile).mode & 0o777
  if ((mode & FOR_OTHERS) === 0) return null
  const octal = mode.toString(8).padStart(4, '0')
  return `its key can be read or changed by others (${octal}), who could then pretend to be any site: chmod 600 ${keyFile}`
}

export type NewAuthority = Pick<AuthorityOptions, 'permitted'> & { readonly name?: string | undefined; readonly days?: number }

/** Writes both files, and folders that are missing. Throws, and has written nothing, if one of the files is there. */
export function createAuthority({ cert, key }: AuthorityFiles, { name, days = AUTHORITY_DAYS, permitted }: NewAuthority = {}): void {
  const now = Date.now()
  const period = { from: new Date(now - BEFORE_MS), to: new Date(now + days * DAY_MS) }
  const made = makeAuthority({ name: name ?? defaultName(), ...period, permitted: permitted ?? null })
  for (const file of [cert, key]) mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  if (existsSync(cert)) throw new Error(`${cert} is there already`)
  // Whole or not at all, and by one alone, of several processes that begin together.
  const [newKey, newCert] = [`${key}.${process.pid}`, `${cert}.${process.pid}`]
  try {
    writeFileSync(newKey, made.key, { mode: 0o600 })
    writeFileSync(newCert, made.cert, { mode: 0o644 })
    linkSync(newKey, key)
    renameSync(newCert, cert)
  } finally {
    for (const file of [newKey, newCert]) rmSync(file, { force: true })
  }
}

/** Makes it where there is none: `true` then. Of several processes one does, and the others wait for it. Throws if it stays half. */
export function ensureAuthority(files: AuthorityFiles): boolean {
  const isThere = (): boolean => existsSync(files.cert) && existsSync(files.key)
  if (isThere()) return false
  if (!existsSync(files.cert) && !existsSync(files.key)) {
    try {
      createAuthority(files)
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
  for (let i = 0; i < STEPS && !isThere(); i++) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, STEP_MS)
  for (const [here, other] of [
    [files.cert, files.key],
    [files.key, files.cert],
  ] as const)
    if (existsSync(here) && !existsSync(other)) throw new Error(`${here} is there without ${other}: remove it, or bring back the other`)
  return false
}

function defaultName(): string {
  return `Sluice interception CA of ${userInfo().username} on ${hostname()}`.slice(0, 64)
}

export function dayOf(date: Date): string {
  return date.toISOString().slice(0, 10)
}
