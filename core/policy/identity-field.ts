/** Fields by which a policy tells endpoints who a client is: what the client itself wrote there goes, however it is spelt. */
import type { Head } from '../net/http1/head.ts'

/** Endpoints that read `-` and `_` alike would join `X_User` to `X-User`. */
export function dropField(head: Head, name: string): void {
  head.delete(name)
  const dashed = name.toLowerCase().replaceAll('_', '-')
  if (!dashed.includes('-') || !head.lines().includes('_')) return
  const twins: string[] = []
  head.forEach((other) => {
    if (other.includes('_') && other.toLowerCase().replaceAll('_', '-') === dashed) twins.push(other)
  })
  for (const twin of twins) head.delete(twin)
}

/** Text as UTF-8, as a field holds it: a character a byte. */
export function fieldText(text: string): string {
  return Buffer.from(text).latin1Slice()
}
