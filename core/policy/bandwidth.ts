/** `bandwidth`: bodies and tunnels go no faster than so many bytes a second for each key, over all workers, or for each connection. */
import { parseSize } from '../config/units.ts'
import type { BandwidthOptions } from '../dsl/traffic-policies.ts'
import { type HookCall, makeHook } from '../hooks.ts'
import type { UserRatePlan } from '../plan/forward-plan.ts'
import type { Kept, PolicyContext, PolicyKind } from './policy.ts'
import { describeKey, keyOf } from './request-key.ts'
import { makePaces, Shares } from './shares.ts'
import type { Paces } from './throttle.ts'

export const bandwidth: PolicyKind<BandwidthOptions> = {
  isPure: false,
  bind(options, context) {
    const shares = context.keep(() => new Bandwidth(options, context))
    const { key = 'connection' } = options
    const find = key === 'connection' ? null : keyOf(key)
    return makeHook('bandwidth', {
      onRequest(call) {
        const pacing = find === null ? shares.ofConnection(call) : shares.ofKey(find(call), call)
        if (pacing !== null) call.pace?.(pacing)
        return null
      },
    })
  },
  describe({ request, response, key = 'connection', burst }) {
    const rates = [request === undefined ? '' : `${request} a second up`, response === undefined ? '' : `${response} a second down`]
    const whose = key === 'connection' ? 'a connection' : describeKey(key)
    return `${rates.filter((rate) => rate !== '').join(', ')} for ${whose}${burst === undefined ? '' : `, ${burst} at once`}`
  },
}

class Bandwidth implements Kept {
  readonly #make: () => Paces
  readonly #shares: Shares
  readonly #byConnection = new WeakMap<object, Paces>()

  constructor({ request, response, burst }: BandwidthOptions, { deadlines, counting, id }: PolicyContext) {
    const bytes = (size: string | undefined): number | null => (size === undefined ? null : parseSize(size))
    const rates: UserRatePlan = { up: bytes(request), down: bytes(response), burst: bytes(burst) }
    this.#make = () => makePaces(rates, deadlines)
    this.#shares = new Shares({ ratesOf: () => rates, salt: id, counting, deadlines })
  }

  ofConnection({ connectionMark }: HookCall): Paces | null {
    if (connectionMark === undefined) return null
    let share = this.#byConnection.get(connectionMark)
    if (share === undefined) {
      share = this.#make()
      this.#byConnection.set(connectionMark, share)
    }
    return share
  }

  /** Until the exchange has ended. */
  ofKey(key: string | null, { request }: HookCall): Paces | null {
    return key === null ? null : this.#shares.take(key, (ending) => request.whenEnded(ending))
  }

  close(): void {
    this.#shares.close()
  }
}
