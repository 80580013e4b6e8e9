/** What a certificate says it is for, and of which kind its key is: what the choice among several certificates goes by. */
import type { X509Certificate } from 'node:crypto'

/** A host, or `*.` and one: any other star is not understood (RFC 9525 §6.3), and neither is what holds a byte that no name has. */
const HOST = /^(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/

/** Its DNS names, in lower case. The common name is none (RFC 9525 §2). */
export function namesOf({ subjectAltName }: X509Certificate): string[] {
  const names = (subjectAltName ?? '').split(', ').flatMap((part) => (part.startsWith('DNS:') ? [part.slice(4).toLowerCase()] : []))
  return [...new Set(names)].filter((name) => HOST.test(name))
}

/** `rsa`, `ec`, `ed25519`: a server may have one of each for the same name. */
export function keyKind({ publicKey }: X509Certificate): string {
  return publicKey.asymmetricKeyType ?? 'unknown'
}
