/**
 * Where `admin` listens, changed by a reload: new addresses are bound before it is taken into use, old ones close after it. An
 * address that stays is not touched.
 */
import { type Admin, type AdminSource, startAdmin } from '../admin/server.ts'
import type { ListenAddress } from '../plan/plan.ts'
import { describeAddress } from './bind.ts'
import type { PlanSummary } from './messages.ts'
import type { Alongside } from './supervisor.ts'

export interface AdminDoorsOptions {
  /** What `Authorization: Bearer` must carry; null where it is not asked for. */
  readonly token: string | null
  readonly source: AdminSource
}

export class AdminDoors {
  readonly #options: AdminDoorsOptions
  #doors: ReadonlyMap<string, Admin> = new Map()

  constructor(options: AdminDoorsOptions) {
    this.#options = options
  }

  get addresses(): string[] {
    return [...this.#doors.values()].flatMap(({ addresses }) => addresses)
  }

  /** Listens where the plan says, beside where it listens already. Rejects with AdminError, and then nothing has changed. */
  async change(admin: PlanSummary['admin']): Promise<Alongside> {
    const next = new Map<string, Admin>()
    const opened: Admin[] = []
    const abort = (): void => {
      for (const door of opened) void door.close()
    }
    try {
      for (const address of admin?.listen ?? []) {
        const key = describeAddress(address)
        const door = this.#doors.get(key) ?? (await this.#open(address))
        if (!this.#doors.has(key)) opened.push(door)
        next.set(key, door)
      }
    } catch (error) {
      abort()
      throw error
    }
    return { abort, commit: () => this.#take(next) }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#doors.values()].map((door) => door.close()))
  }

  #open(address: ListenAddress): Promise<Admin> {
    return startAdmin({ listen: [address], ...this.#options })
  }

  #take(next: ReadonlyMap<string, Admin>): void {
    for (const [key, door] of this.#doors) if (!next.has(key)) void door.close()
    this.#doors = next
  }
}
