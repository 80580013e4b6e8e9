/** Names of files, as URLs and responses give them, and how they end. Pure. */
import { trimmedEnd } from '../net/trim.ts'

/** What stands last in a path, escapes read. */
export function lastSegment(path: string): string {
  return unescaped(path.slice(path.lastIndexOf('/') + 1).replace(/;.*$/s, ''))
}

/** The name that a response gives to what is in it (RFC 6266); null: none. The one in UTF-8 counts, as it does for browsers. */
export function attachmentName(disposition: string | null): string | null {
  if (disposition === null) return null
  const extended = /;\s*filename\*\s*=\s*[\w-]*'[\w-]*'([^;\s]+)/i.exec(disposition)?.[1]
  if (extended !== undefined) return unescaped(extended)
  const plain = /;\s*filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s]+))/i.exec(disposition)
  const name = plain?.[1]?.replace(/\\(.)/g, '$1') ?? plain?.[2]
  return name === undefined ? null : name.slice(Math.max(name.lastIndexOf('/'), name.lastIndexOf('\\')) + 1)
}

/** `gz` and `tar.gz` of `a.tar.gz`, in lower case. Dots and spaces at the end are nothing to Windows, so they are nothing here. */
export function extensionsOf(name: string): readonly string[] {
  const parts = trimmedEnd(name, '. ').toLowerCase().split('.')
  const [last, before] = [parts.at(-1)!, parts.at(-2)]
  if (parts.length < 2) return []
  return parts.length < 3 ? [last] : [last, `${before}.${last}`]
}

function unescaped(text: string): string {
  // A path may hold any bytes: those that are no UTF-8 are no part of an extension.
  return text.replace(/%([0-9a-f]{2})/gi, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)))
}
