/**
 * What authorities are shown while they look whether names are ours (RFC 8555 §8): an answer over plain HTTP, or a certificate for a
 * protocol of its own. The supervisor says what, and waits until every worker shows it.
 */
import { type Hook, makeHook } from '../hooks.ts'
import type { ClientHello } from '../net/client-hello.ts'
import { makeTermination, type Termination, type TlsChallenges } from './termination.ts'

export type Challenge =
  /** RFC 8555 §8.3. */
  | { readonly kind: 'http-01'; readonly token: string; readonly keyAuthorization: string }
  /** RFC 8737. PEM. */
  | { readonly kind: 'tls-alpn-01'; readonly name: string; readonly cert: string; readonly key: string }

/** A record of the type TXT that an authority looks for (RFC 8555 §8.4): a function of the config changes the zone. */
export interface RecordChange {
  readonly act: 'set' | 'remove'
  readonly name: string
  readonly value: string
}

const WELL_KNOWN = '/.well-known/acme-challenge/'
/** Of clients that are looking, not browsing. */
const PROTOCOL = 'acme-tls/1'

export class Challenges implements TlsChallenges {
  readonly #answers = new Map<string, string>()
  readonly #terminations = new Map<string, Termination>()
  /** Asked before all that a config says of plain HTTP; what is not asked for here goes on. */
  readonly hook: Hook = makeHook('acme', {
    onRequest: ({ request: { path, method } }) => {
      if (!path.startsWith(WELL_KNOWN) || (method !== 'GET' && method !== 'HEAD')) return null
      const body = this.#answers.get(path.slice(WELL_KNOWN.length))
      return body === undefined ? null : { kind: 'respond', status: 200, body, headers: { 'content-type': 'application/octet-stream' } }
    },
  })

  /** In the place of those before. Throws if a certificate cannot be used. */
  replace(challenges: readonly Challenge[]): void {
    const terminations = new Map<string, Termination>()
    const answers = new Map<string, string>()
    for (const challenge of challenges) {
      if (challenge.kind === 'http-01') answers.set(challenge.token, challenge.keyAuthorization)
      else terminations.set(challenge.name, makeTermination({ ...challenge, alpn: [PROTOCOL] }))
    }
    fill(this.#answers, answers)
    fill(this.#terminations, terminations)
  }

  get areByTls(): boolean {
    return this.#terminations.size > 0
  }

  terminationFor({ serverName, alpn }: Pick<ClientHello, 'serverName' | 'alpn'>): Termination | null {
    if (serverName === null || alpn.length !== 1 || alpn[0] !== PROTOCOL) return null
    return this.#terminations.get(serverName.toLowerCase()) ?? null
  }
}

function fill<T>(map: Map<string, T>, entries: ReadonlyMap<string, T>): void {
  map.clear()
  for (const [key, value] of entries) map.set(key, value)
}
