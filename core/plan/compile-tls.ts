/** The options of one termination of TLS → TlsPlan: what was left out filled in, files by their whole path. */
import type { TlsTermination } from '../index.ts'
import { resolveFile } from './compile-upstream.ts'
import type { TlsPlan } from './plan.ts'

export function compileTls({ cert, key, alpn = ['http/1.1'] }: TlsTermination, folder: string): TlsPlan {
  const file = (text: string): string => resolveFile(folder, text)
  return Object.freeze({ cert: file(cert), key: file(key), alpn: Object.freeze([...alpn]) })
}
