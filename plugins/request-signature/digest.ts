/** Content-Digest (RFC 9530): whether a body is the one that was signed for. */
import { readBytes, readDictionary } from './fields.ts'

const HASHES: Readonly<Record<string, 'SHA-256' | 'SHA-512'>> = { 'sha-512': 'SHA-512', 'sha-256': 'SHA-256' }

/** What is wrong with the body, in a few words; null if it fits every digest that is known. An empty one needs none. */
export async function bodyProblem(body: Uint8Array<ArrayBuffer>, field: string | null): Promise<string | null> {
  if (field === null) return body.length === 0 ? null : 'it has a body without a digest'
  const known = (readDictionary(field) ?? []).filter(({ label }) => Object.hasOwn(HASHES, label))
  if (known.length === 0) return 'its digest is neither sha-256 nor sha-512'
  for (const { label, item } of known) {
    const wanted = readBytes(item)
    const actual = new Uint8Array(await crypto.subtle.digest(HASHES[label]!, body))
    // Nothing secret is compared: how long it takes does not matter.
    if (wanted === null || wanted.length !== actual.length || !actual.every((byte, i) => byte === wanted[i]))
      return 'its body does not fit the digest'
  }
  return null
}
