/** A certificate with its key as it is kept: one file, for the owner alone, whole or not at all. */
import { X509Certificate } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { namesOf } from '../net/certificate-names.ts'

export interface KeptCertificate {
  readonly names: readonly string[]
  readonly from: Date
  readonly to: Date
}

/** Null: there is none, or it cannot be read. */
export function readCertificate(file: string): KeptCertificate | null {
  try {
    const certificate = new X509Certificate(readFileSync(file))
    return { names: namesOf(certificate), from: certificate.validFromDate, to: certificate.validToDate }
  } catch {
    return null
  }
}

export function readText(file: string): string | null {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

/** Throws if it cannot be written. */
export function keep(file: string, pem: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  writeFileSync(`${file}.new`, pem, { mode: 0o600 })
  renameSync(`${file}.new`, file)
}
