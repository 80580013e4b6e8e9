/**
 * While a slot has no worker, another worker accepts from its socket too: whoever connects does not wait for the replacement. Where
 * all workers share one socket there is nothing to do.
 */
import type { BoundSocket } from './bind.ts'
import type { WorkerProcess } from './worker-process.ts'

/** A listener's socket for each slot. */
export interface SlotSockets {
  readonly name: string
  readonly sockets: readonly BoundSocket[]
}

export class StandIns {
  /** Who stands in for which slot. */
  readonly #bySlot = new Map<number, WorkerProcess>()

  /** Finds somebody for every slot that has nobody; called after a worker has stopped accepting. */
  cover(slots: readonly (WorkerProcess | null)[], listening: readonly SlotSockets[]): void {
    for (const [slot, worker] of slots.entries()) {
      if (worker?.isLive === true || this.#bySlot.get(slot)?.isLive === true) continue
      const standIn = leastBusy(slots)
      if (standIn === null) return
      this.#bySlot.set(slot, standIn)
      for (const { name, sockets } of listening) {
        const socket = sockets[slot]!
        // If it cannot, the queue of the socket waits for the replacement.
        // Where workers bind by themselves they share the port already, and a socket made for a while would take its queue along.
        if (socket.handle !== null && socket !== sockets[standIn.slot]) standIn.listen(name, socket, slot).catch(() => {})
      }
    }
  }

  /** The slot has its worker again. */
  end(slot: number): void {
    const standIn = this.#bySlot.get(slot)
    this.#bySlot.delete(slot)
    if (standIn?.isLive === true) standIn.release(slot)
  }
}

function leastBusy(slots: readonly (WorkerProcess | null)[]): WorkerProcess | null {
  let best: WorkerProcess | null = null
  for (const worker of slots) if (worker?.isLive === true && (best === null || worker.connections < best.connections)) best = worker
  return best
}
