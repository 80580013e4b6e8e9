/** What stands in for an upstream of TCP in a test: a function of what its endpoint gets, piece by piece, or a way to fail. */
import type { RawAnswer, RawPiece } from './messages.ts'
import type { Failure } from './stub.ts'

/** Asked when a connection opens, with no data, and for each piece that arrives; what it returns is sent back. */
export type TcpStubFunction = (connection: StubConnection) => TcpReply | Promise<TcpReply>
// biome-ignore lint/suspicious/noConfusingVoidType: a function that only looks returns nothing
export type TcpReply = string | Uint8Array | Failure<'reset'> | null | undefined | void
export type TcpStub = TcpStubFunction | Failure<'refused' | 'unreachable' | 'reset'>

/** A connection as an endpoint has it: after all hooks of the connection. */
export interface StubConnection {
  /** What has arrived just now; empty when it opens. */
  readonly data: Uint8Array
  /** The same as text. */
  readonly text: string
  /** Name of the upstream, or its address as the config has it. */
  readonly upstream: string
  /** Address of the endpoint that was chosen. */
  readonly endpoint: string
}

export async function askTcpStub(stub: TcpStub | undefined, { data, upstream, endpoint }: RawPiece): Promise<RawAnswer> {
  if (typeof stub !== 'function') return { kind: 'reset', why: '' }
  try {
    const reply = await stub({ data, text: new TextDecoder().decode(data), upstream, endpoint })
    if (reply === null || reply === undefined) return { kind: 'bytes', bytes: new Uint8Array() }
    if (typeof reply === 'string') return { kind: 'bytes', bytes: new TextEncoder().encode(reply) }
    if (reply instanceof Uint8Array) return { kind: 'bytes', bytes: new Uint8Array(reply) }
    if (reply.failure === 'reset') return { kind: 'reset', why: '' }
    return { kind: 'reset', why: `it returned neither text nor bytes nor reset(), but ${String(reply)}` }
  } catch (error) {
    return { kind: 'reset', why: error instanceof Error ? String(error.stack) : String(error) }
  }
}
