/** The signature base (RFC 9421 §2.5) of a request: the same text on both sides, or the signature does not fit. */
import { quoted } from './fields.ts'

/** What a plugin sees of a request. */
export interface Message {
  readonly method: string
  readonly path: string
  readonly search: string
  readonly headers: { get(name: string): string | null }
}

/** Derived components that can be known in the sandbox (§2.2). The authority and the scheme are not visible to a plugin. */
const DERIVED: Readonly<Record<string, (message: Message) => string>> = {
  '@method': ({ method }) => method,
  '@path': ({ path }) => path,
  // §2.2.7: without a query it is the question mark alone.
  '@query': ({ search }) => (search === '' ? '?' : search),
}

export function isComponent(name: string): boolean {
  return name.startsWith('@') ? Object.hasOwn(DERIVED, name) : /^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name)
}

/** Null if the message has not got it. */
export function componentOf(message: Message, component: string): string | null {
  return component.startsWith('@') ? (DERIVED[component]?.(message) ?? null) : message.headers.get(component)
}

/** `parameters`: the value of `@signature-params`. Null if a component is not there. */
export function signatureBase(message: Message, components: readonly string[], parameters: string): string | null {
  let base = ''
  for (const component of components) {
    const value = componentOf(message, component)
    if (value === null) return null
    base += `${quoted(component)}: ${value}\n`
  }
  return `${base}"@signature-params": ${parameters}`
}

/** Header fields are bytes, shown as latin1: so they are signed. */
export function toBytes(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (char) => char.charCodeAt(0))
}

/** A secret as text, or as `base64:…`. */
export async function importSecret(secret: string, usage: 'sign' | 'verify'): Promise<CryptoKey> {
  const bytes = secret.startsWith('base64:')
    ? Uint8Array.from(atob(secret.slice(7)), (char) => char.charCodeAt(0))
    : new TextEncoder().encode(secret)
  if (bytes.length < 16) throw new Error('a secret has at least 16 bytes; 32 are as strong as the signature')
  return crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, [usage])
}
