/** A response body that does not go straight from its endpoint to the client: past hooks (response-filter.ts), into or out of a cache (stored-body.ts). */

export interface Detour {
  /** A piece of what the endpoint sends, without framing; the bytes may be overwritten unless `isLent`. */
  push(bytes: Buffer, from: number, to: number): void
  /** The same as latin1. */
  pushText(text: string): void
  /** A read is over. False: no more until the taker is told `takeMoreResponse`. */
  readEnd(last: boolean, trailers: string): boolean
  /** More may be read. */
  readonly flows: boolean
  /** Somebody still has bytes of the buffer that was read into. */
  readonly isLent: boolean
  /** It goes on without its client: others get it, too. */
  readonly isShared: boolean
  /** The client took what was written. */
  drained(): void
  /** The client is gone, and the body goes on. */
  leave(): void
  /** Nobody waits for it any more. */
  close(): void
}
