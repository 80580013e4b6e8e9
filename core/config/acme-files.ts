/** Where what came by ACME is kept: a folder for each authority, in it a file for each certificate and one for the account. */
import { createHash } from 'node:crypto'
import { join, resolve } from 'node:path'
import type { AcmeOptions } from '../dsl/tls.ts'
import { toList } from './lists.ts'

export const LETS_ENCRYPT = 'https://acme-v02.api.letsencrypt.org/directory'
const STORAGE = '.sluice/acme'

/** Absolute paths. Of certificates for the same names at the same authority there is one. */
export function acmeFiles(options: AcmeOptions, folder: string): { readonly file: string; readonly accountFile: string } {
  const { directory = LETS_ENCRYPT, storage = STORAGE } = options
  const names = toList(options.names).map((name) => name.toLowerCase())
  const [first = ''] = names
  const rest = names.length === 1 ? '' : `-${shortHash(names.toSorted().join(' '))}`
  const home = join(resolve(folder, storage), `${new URL(directory).hostname}-${shortHash(directory)}`)
  return { file: join(home, `${first.replace('*', '_')}${rest}.pem`), accountFile: join(home, 'account.key') }
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8)
}

/** The same of options that nobody has checked; null: they name no file. */
export function filesOfAcme(options: Readonly<Record<string, unknown>>, folder: string): { readonly file: string } | null {
  const { names, directory, storage } = options
  const isText = (value: unknown): boolean => typeof value === 'string' && value !== ''
  if (![names].flat().every(isText) || ![directory, storage].every((value) => value === undefined || isText(value))) return null
  if (typeof directory === 'string' && !URL.canParse(directory)) return null
  return acmeFiles(options as unknown as AcmeOptions, folder)
}
