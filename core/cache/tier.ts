/** What stands behind the memory of a cache: it keeps answers for longer, or for more than one worker, and takes longer to give them. */
import type { RequestHead } from '../net/http1/head.ts'
import type { BodySource } from './body-source.ts'
import type { ListedResponse, TierCounts } from './counts.ts'
import type { Purge } from './purge.ts'
import type { StoredResponse } from './stored-response.ts'

/** What is looked for. */
export interface Wanted {
  readonly key: string
  readonly url: string
  readonly request: Pick<RequestHead, 'get'>
  /** What is known already: only something newer is wanted. */
  readonly than: StoredResponse | null
  /** Not an answer, but that body of one in that coding. */
  readonly coding?: { readonly of: BodySource; readonly name: string }
}

export const LATER = Symbol('later')

export interface Tier {
  /** So long a request may wait for it. */
  readonly timeoutMs: number
  /** Null: it has nothing. LATER: `taker` is told, once. What is found may still be coming: its length is known. */
  find(wanted: Wanted, taker: (found: StoredResponse | null) => void): StoredResponse | null | typeof LATER
  /** It is whole, and it, or its body, may be here already. */
  keep(response: StoredResponse): void
  /** Its body in that coding is complete. */
  keepCoded(response: StoredResponse, coding: string): void
  remove(response: StoredResponse): void
  /** What is kept of that URL. */
  invalidate(url: string): void
  /** What of that is on its way there from here: others have put out what is there already. */
  forgetComing(purge: Purge): void
  /** Resolves with the number of answers it was about, when nothing finds them any more. */
  purge(purge: Purge): Promise<number>
  readonly counts: TierCounts
  list(prefix: string, most: number): Promise<readonly ListedResponse[]>
  /** Resolves when what was to be written is. */
  settled(): Promise<void>
  /** The same, and nothing more is. */
  close(): Promise<void>
}

/** Who has tiers. */
export interface TierHome {
  readonly clock: () => number
  /** Of one key. */
  readonly variants: number
  /** Whether a body of that length may come into the memory. */
  hasRoom(bytes: number): boolean
  /** The rest of what was found will not come. */
  lost(response: StoredResponse): void
  /** Told once for all that goes wrong in the same way. */
  warn(text: string): void
}
