/** Media types of files, by their extensions. The table is a megabyte, and is loaded when the first file is looked for. */
import type { Mime } from 'mime'

let known: Mime | null = null

/** Comes before the others. */
export async function loadTypes(): Promise<void> {
  known ??= (await import('mime')).default
}

/** With a charset where one is to be told. */
export function typeOf(name: string, types: Readonly<Record<string, string>>): string {
  return types[extensionOf(name)] ?? withCharset(known!.getType(name) ?? 'application/octet-stream')
}

/** Whether a name ends as files do. */
export function hasKnownType(name: string, types: Readonly<Record<string, string>>): boolean {
  const extension = extensionOf(name)
  return extension !== '' && (types[extension] !== undefined || known!.getType(extension) !== null)
}

/** `.js`, in lower case; empty if there is none. */
function extensionOf(name: string): string {
  const dot = name.lastIndexOf('.')
  return dot <= 0 ? '' : name.slice(dot).toLowerCase()
}

function withCharset(type: string): string {
  return type.startsWith('text/') ? `${type}; charset=utf-8` : type
}
