/**
 * An application-level gateway: what understands a protocol of lines between a client and an endpoint, and decides which of them pass, as
 * what. Pure: lines in, steps out. `connection/gateway-tunnel.ts` reads, writes and opens doors; `ftp.ts` is one to learn from.
 */
import type { ErrorCode } from '../errors.ts'

/** Without the end of a line; latin1. */
export type Step =
  | { readonly kind: 'say'; readonly to: 'client' | 'endpoint'; readonly line: string }
  /** Let the client reach this port of the endpoint, once, by a port here: `doorOpened` is told which, before any other line. */
  | { readonly kind: 'door'; readonly port: number }
  /** The client gets this line, and both sides end. */
  | { readonly kind: 'end'; readonly line: string; readonly reason: ErrorCode; readonly detail: string }

export interface Gateway {
  /** A longer line of either side is `tooLong`, and nothing comes after it. */
  readonly maxLineBytes: number
  /** Null: not yet; it is asked about the same line again after the next step of the endpoint. */
  fromClient(line: string): readonly Step[] | null
  fromEndpoint(line: string): readonly Step[]
  tooLong(from: 'client' | 'endpoint'): Step
  /** Null: there is none to be had. */
  doorOpened(port: number | null): readonly Step[]
}
