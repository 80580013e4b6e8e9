/**
 * `bandwidth`: bodies and tunnels go no faster than so many bytes a second for each key. A key is remembered while something of it is under way, and
 * then until it has all of its burst again.
 */
import { parseSize } from '../config/units.ts'
import type { BandwidthOptions } from '../dsl/traffic-policies.ts'
import { type HookCall, makeHook } from '../hooks.ts'
import type { Kept, PolicyContext, PolicyKind } from './policy.ts'
import { describeKey, keyOf } from './request-key.ts'
import { type Paces, Throttle } from './throttle.ts'

/** Keys with nothing under way that have not got back all of their burst. */
const MOST_IDLE = 16_384

export const bandwidth: PolicyKind<BandwidthOptions> = {
  isPure: false,
  bind(options, { keep, deadlines }) {
    const shares = keep(() => new Shares(options, deadlines))
    const { key = 'connection' } = options
    const find = key === 'connection' ? null : keyOf(key)
    return makeHook('bandwidth', {
      onRequest(call) {
        const pacing = find === null ? shares.ofConnection(call) : shares.take(find(call), call)
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

interface Share extends Paces {
  underWay: number
}

class Shares implements Kept {
  readonly #make: () => Share
  readonly #byConnection = new WeakMap<object, Share>()
  readonly #byKey = new Map<string, Share>()
  /** Of those, the ones with nothing under way; what has been so for longest is first. */
  readonly #idle = new Set<string>()

  constructor({ request, response, burst }: BandwidthOptions, deadlines: PolicyContext['deadlines']) {
    const throttle = (rate: string | undefined): Throttle | null => {
      if (rate === undefined) return null
      const bytesPerSecond = parseSize(rate)!
      return new Throttle({ bytesPerSecond, burst: burst === undefined ? bytesPerSecond : parseSize(burst)! }, deadlines)
    }
    this.#make = () => ({ request: throttle(request), response: throttle(response), underWay: 0 })
  }

  ofConnection({ connectionMark }: HookCall): Share | null {
    if (connectionMark === undefined) return null
    let share = this.#byConnection.get(connectionMark)
    if (share === undefined) {
      share = this.#make()
      this.#byConnection.set(connectionMark, share)
    }
    return share
  }

  /** Until the exchange has ended. */
  take(key: string | null, { request }: HookCall): Share | null {
    if (key === null) return null
    let share = this.#byKey.get(key)
    if (share === undefined) {
      share = this.#make()
      this.#byKey.set(key, share)
    }
    this.#idle.delete(key)
    share.underWay++
    request.whenEnded(() => {
      if (--share.underWay === 0) this.#rest(key)
    })
    return share
  }

  #rest(key: string): void {
    this.#idle.add(key)
    for (const other of this.#idle) {
      if (this.#idle.size <= MOST_IDLE && !isUnused(this.#byKey.get(other)!)) return
      this.#idle.delete(other)
      this.#byKey.delete(other)
    }
  }

  /** Exchanges that are still under way go on with what they have. */
  close(): void {}
}

/** Another one would be the same. */
function isUnused({ request, response }: Share): boolean {
  return request?.isUnused !== false && response?.isUnused !== false
}
