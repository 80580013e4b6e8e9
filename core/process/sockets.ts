/**
 * The listening sockets of all workers, by the key of their address: what two plans have in common stays bound from one to the
 * next. New addresses are bound before a plan is taken into use, and closed again if it is not.
 */
import { addressesOf } from '../plan/addresses.ts'
import type { ListenAddress } from '../plan/plan.ts'
import { type BoundSocket, bindAddress, describeAddress } from './bind.ts'
import type { PlanSummary, Scheme } from './messages.ts'

export interface Bound {
  readonly key: string
  readonly listener: string
  readonly scheme: Scheme
  /** One for each slot; all the same one where it is shared. */
  readonly sockets: readonly BoundSocket[]
}

/** Null: it is for another slot alone, or the datagrams of one client would be read now by this worker and now by that. */
export function socketOf({ sockets }: Bound, slot: number): BoundSocket | null {
  const socket = sockets[slot]!
  return socket.address.kind === 'udp' && slot > 0 && socket === sockets[0] ? null : socket
}

export interface SocketChange {
  readonly added: readonly Bound[]
  /** Nothing of it is used yet: closes what was added. */
  abort(): void
  /** Takes the new ones for the current ones. Returns how to close those that no plan names any more. */
  commit(): () => void
}

export class Sockets {
  readonly #slots: number
  readonly #bindAlone: boolean
  #bound: readonly Bound[] = []

  constructor(options: { readonly slots: number; readonly bindAlone: boolean }) {
    this.#slots = options.slots
    this.#bindAlone = options.bindAlone
  }

  /** In the order of the plan. */
  get all(): readonly Bound[] {
    return this.#bound
  }

  /** Binds what this plan has and the current one has not. Throws BindError, and then leaves nothing open of it. */
  async change({ listeners }: PlanSummary): Promise<SocketChange> {
    const schemes = new Map(listeners.map(({ name, scheme }) => [name, scheme]))
    const next: Bound[] = []
    const added: Bound[] = []
    const abort = (): void => {
      for (const bound of added) close(bound)
    }
    try {
      for (const { key, listener, address } of addressesOf(listeners)) {
        const known = this.#bound.find((bound) => bound.key === key)
        const sockets = known?.sockets ?? (await this.#bind(listener, address))
        const bound = { key, listener, scheme: schemes.get(listener)!, sockets }
        next.push(bound)
        if (known === undefined) added.push(bound)
      }
    } catch (error) {
      abort()
      throw error
    }
    return { added, abort, commit: () => this.#take(next) }
  }

  close(): void {
    for (const bound of this.#bound) close(bound)
  }

  /** `web http://0.0.0.0:8080` */
  describe(): string[] {
    return this.#bound.map(({ listener, scheme, sockets }) => {
      const { address } = sockets[0]!
      return `${listener} ${address.kind === 'unix' ? '' : `${scheme}://`}${describeAddress(address)}`
    })
  }

  #bind(listener: string, address: ListenAddress): Promise<BoundSocket[]> {
    const isOurs =
      address.kind !== 'unix' &&
      address.port !== 0 &&
      this.#bound.some(({ sockets: [first] }) => first?.address.kind === address.kind && first.address.port === address.port)
    return bindAddress(listener, address, { slots: this.#slots, isOurs, ...(this.#bindAlone ? { create: null } : {}) })
  }

  #take(next: readonly Bound[]): () => void {
    const kept = new Set(next.map(({ key }) => key))
    const gone = this.#bound.filter(({ key }) => !kept.has(key))
    this.#bound = next
    return () => {
      for (const bound of gone) close(bound)
    }
  }
}

function close({ sockets }: Bound): void {
  for (const socket of sockets) socket.close()
}
