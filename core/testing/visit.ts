/** One connection of TCP through a simulation: what is told of it, and of the requests that came in it. */
import type { EndedExchange, EndedTunnel } from '../events.ts'
import type { Connected, ConnectedFacts, LogLine } from './messages.ts'

export class Visit {
  readonly logs: LogLine[] = []
  #facts: ConnectedFacts

  constructor(listener: string) {
    this.#facts = {
      ...{ listener, route: null, upstream: null, endpoint: null, protocol: 'TCP', sni: null },
      ...{ reason: null, detail: null, decidedBy: null, attempts: 0 },
    }
  }

  ended({ listener, route, upstream, endpoint, protocol, sni, reason, detail, decidedBy, attempts }: EndedTunnel): void {
    if (listener !== this.#facts.listener) return
    const kind = protocol === 'TLS' ? protocol : 'TCP'
    this.#facts = { listener, route, upstream, endpoint, protocol: kind, sni, reason, detail, decidedBy, attempts }
  }

  /** The route is that of the connection: the listener of HTTP in it is named after it. */
  asked({ listener, upstream, endpoint, reason, detail, decidedBy, attempts }: EndedExchange): void {
    const route = /^(.*)\/web$/.exec(listener)?.[1]
    if (route === undefined || !route.startsWith(this.#facts.listener)) return
    this.#facts = { ...this.#facts, route, protocol: 'HTTP', upstream, endpoint, reason, detail, decidedBy, attempts }
  }

  /** `note`: what the simulation itself has to say. */
  told(note: string | null): Pick<Connected, 'facts' | 'logs'> {
    return { facts: { ...this.#facts, detail: note ?? this.#facts.detail }, logs: this.logs }
  }
}
