/**
 * While a slot has no worker, another worker accepts from its socket too: whoever connects does not wait for the replacement. Where
 * all workers share one socket there is nothing to do.
 */
import { type Bound, socketOf } from './sockets.ts'
import type { WorkerProcess } from './worker-process.ts'

export class StandIns {
  /** Who stands in for which slot. */
  readonly #bySlot = new Map<number, WorkerProcess>()

  /** Finds somebody for every slot that has nobody; called after a worker has stopped accepting. */
  cover(slots: readonly (WorkerProcess | null)[], listening: readonly Bound[]): void {
    for (const [slot, worker] of slots.entries()) {
      if (worker?.isLive === true || this.#bySlot.get(slot)?.isLive === true) continue
      const standIn = leastBusy(slots)
      if (standIn === null) return
      this.#bySlot.set(slot, standIn)
      this.#lend(standIn, slot, listening)
    }
  }

  /** Those who stand in now take what was bound by a reload, too. */
  extend(added: readonly Bound[]): void {
    for (const [slot, standIn] of this.#bySlot) if (standIn.isLive) this.#lend(standIn, slot, added)
  }

  /** The slot has its worker again. */
  end(slot: number): void {
    const standIn = this.#bySlot.get(slot)
    this.#bySlot.delete(slot)
    if (standIn?.isLive === true) standIn.release(slot)
  }

  #lend(standIn: WorkerProcess, slot: number, listening: readonly Bound[]): void {
    for (const bound of listening) {
      const socket = socketOf(bound, slot)
      // If it cannot, the queue of the socket waits for the replacement.
      // Where workers bind by themselves they share the port already, and a socket made for a while would take its queue along.
      if (socket !== null && socket.handle !== null && socket !== bound.sockets[standIn.slot])
        standIn.listen(bound, socket, slot).catch(() => {})
    }
  }
}

function leastBusy(slots: readonly (WorkerProcess | null)[]): WorkerProcess | null {
  let best: WorkerProcess | null = null
  for (const worker of slots) if (worker?.isLive === true && (best === null || worker.connections < best.connections)) best = worker
  return best
}
