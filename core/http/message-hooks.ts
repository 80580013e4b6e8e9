/**
 * A WebSocket whose messages are for hooks: before it is asked for, what is offered is reduced to what we can read; once it is granted,
 * what was agreed on is known to whoever relays it. It holds no plan.
 */
import type { Hook } from '../hooks.ts'
import type { RequestHead, ResponseHead } from '../net/http1/head.ts'
import { type DeflateAgreement, readAnswer, readableOffers } from '../net/websocket/extensions.ts'

const EXTENSIONS = 'sec-websocket-extensions'
/** RFC 6455; what other versions frame in another way nobody speaks any more. */
const VERSION = '13'
export const MAX_MESSAGE_BYTES = 1 << 20

export interface RelayedMessages {
  /** In the order of the list; each has `onMessage`. */
  readonly hooks: readonly Hook[]
  readonly request: RequestHead
  readonly ip: string
  /** Null: messages are not compressed. */
  readonly agreement: DeflateAgreement | null
  /** Of a message, inflated. A larger one ends the WebSocket. */
  readonly maxMessageBytes: number
}

export class MessageHooks {
  readonly #hooks: readonly Hook[]
  readonly #request: RequestHead
  readonly #ip: string
  readonly #offers: string | null

  constructor(hooks: readonly Hook[], request: RequestHead, ip: string) {
    this.#hooks = hooks
    this.#request = request
    this.#ip = ip
    const offered = request.get(EXTENSIONS)
    this.#offers = readableOffers(offered)
    if (this.#offers !== null) request.set('Sec-WebSocket-Extensions', this.#offers)
    else if (offered !== null) request.delete(EXTENSIONS)
  }

  /** What is to be relayed; null: the endpoint granted what cannot be read. */
  accepted(head: ResponseHead): RelayedMessages | null {
    const agreement = readAnswer(head.get(EXTENSIONS), this.#offers)
    if (agreement === 'unreadable' || this.#request.get('sec-websocket-version') !== VERSION) return null
    return { hooks: this.#hooks, request: this.#request, ip: this.#ip, agreement, maxMessageBytes: MAX_MESSAGE_BYTES }
  }
}

/** Of a request that asks for an upgrade, before it is sent. `asked`: the hooks of its way. Null: it is no WebSocket, or for none of them. */
export function messageHooks(request: RequestHead, ip: string, asked: readonly Hook[]): MessageHooks | null {
  if (request.upgrade?.toLowerCase() !== 'websocket') return null
  const hooks = asked.filter((hook) => hook.onMessage !== null && hook.matches(request))
  return hooks.length === 0 ? null : new MessageHooks(hooks, request, ip)
}
