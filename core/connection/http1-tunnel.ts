/** What a connection of HTTP/1 becomes with 101, or 200 to CONNECT: a tunnel, with whatever looks at what passes through it. */
import type { Deadlines } from '../deadlines.ts'
import type { Refusal } from '../forward/access.ts'
import type { TunnelLooks } from '../http/downstream.ts'
import { cutFor, type TunnelEnded, type TunnelFailure } from '../http/tunnel-end.ts'
import type { Wire } from '../net/wire.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'
import { MessageRelay } from './message-relay.ts'
import { screened } from './screened-wire.ts'
import { Tunnel } from './tunnel.ts'

export interface TunnelSides {
  readonly client: Wire
  readonly upstream: UpstreamConnection
  readonly looks: TunnelLooks | null
}

export interface TunnelBeginning {
  /** The head that the client gets. */
  readonly text: string
  /** What the client sent after its request; latin1. */
  readonly early: string
  /** What the endpoint sent after its head. */
  readonly rest: Buffer
  /** The client has said already that it sends no more. */
  readonly hasEnded: boolean
  readonly deadlines: Deadlines
  readonly idleMs: number
  readonly ended: TunnelEnded
}

export function openTunnel({ client, upstream, looks }: TunnelSides, beginning: TunnelBeginning): void {
  const { text, early, rest, hasEnded, deadlines, idleMs, ended } = beginning
  if (looks?.kind === 'messages') {
    client.writeText(text)
    const { messages } = looks
    new MessageRelay({ client, upstream: upstream.wire }, { deadlines, idleMs, ended, messages, early: Buffer.from(early, 'latin1'), rest })
    return
  }
  client.writeText(text + rest.latin1Slice(0, rest.length))
  let refused: TunnelFailure | null = null
  const asked = (_: string | null, why: Refusal | null): void => {
    if (why !== null) refused = { reason: why.code, detail: why.detail, decidedBy: null }
  }
  const blocks = looks === null ? null : looks.blocks
  const meter = looks === null ? null : looks.meter
  const isLookedAt = blocks !== null
  const left = isLookedAt ? screened(client, { blocks, asked }) : client
  if (early !== '' && !isLookedAt) upstream.wire.writeText(early)
  // Counts alone: what they are of is not kept as long as a tunnel lasts.
  const [earlyBytes, restBytes] = [isLookedAt ? 0 : early.length, rest.length]
  new Tunnel(
    { left, right: upstream.wire },
    {
      ...{ deadlines, idleMs, meter },
      ended: (fromClient, fromEndpoint, cut) => ended(fromClient + earlyBytes, fromEndpoint + restBytes, refused ?? cutFor(cut)),
    },
  )
  // What was read before goes the way of all that follows.
  if (isLookedAt && early !== '') client.owner.onBytes(Buffer.from(early, 'latin1'), early.length)
  // It said so before there was a tunnel.
  if (hasEnded && !client.closed) client.owner.onEnd()
}
