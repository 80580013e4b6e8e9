/** `faults`: a share of requests waits, is answered with an error, or has its connection closed, by lot. */
import { compileMatch } from '../config/match.ts'
import { parseDuration } from '../config/units.ts'
import type { Deadlines, Timed } from '../deadlines.ts'
import type { FaultsOptions } from '../dsl/fault-policy.ts'
import { type HookCall, makeHook, PENDING, type Verdict } from '../hooks.ts'
import { RequestFacts } from '../request-view.ts'
import { compileConditions } from '../route/conditions.ts'
import type { PolicyKind } from './policy.ts'

/** `random`: from 0 up to, not including, 1. */
export function makeFaults(random: () => number): PolicyKind<FaultsOptions> {
  return {
    isPure: false,
    bind({ delay, abort, cut, headers }, { deadlines }) {
      const conditions = headers === undefined ? [] : compileConditions(compileMatch({ headers }))
      const delayMs = delay === undefined ? 0 : parseDuration(delay.for)!
      const failure = failing({ abort, cut })
      return makeHook('faults', {
        onRequest(call) {
          if (conditions.length > 0 && !passes(conditions, call)) return null
          const waits = delay !== undefined && random() < delay.share
          const verdict = failure(random)
          if (!waits) return verdict
          new Wait(call, verdict, deadlines).begin(delayMs)
          return PENDING
        },
      })
    },
    describe({ delay, abort, cut, headers }) {
      const parts = [
        ...(delay === undefined ? [] : [`${percent(delay.share)} wait ${delay.for}`]),
        ...(abort === undefined ? [] : [`${percent(abort.share)} get ${abort.status}`]),
        ...(cut === undefined ? [] : [`${percent(cut.share)} are cut off`]),
      ]
      const names = Object.keys(headers ?? {})
      return `${parts.join(', ')}${names.length === 0 ? '' : `, of those whose ${names.join(', ')} is right for it`}`
    },
  }
}

export const faults: PolicyKind<FaultsOptions> = makeFaults(Math.random)

const CUT: Verdict = { kind: 'cut', code: 'fault_injected' }

function failing({ abort, cut }: Pick<FaultsOptions, 'abort' | 'cut'>): (random: () => number) => Verdict | null {
  if (abort === undefined && cut === undefined) return () => null
  const abortShare = abort?.share ?? 0
  const cutShare = cut?.share ?? 0
  const answer: Verdict = {
    kind: 'respond',
    status: abort?.status ?? 503,
    body: 'a fault on purpose\n',
    headers: { 'Cache-Control': 'no-store' },
    code: 'fault_injected',
  }
  return (random) => {
    const lot = random()
    if (lot < abortShare) return answer
    return lot < abortShare + cutShare ? CUT : null
  }
}

function passes(conditions: ReturnType<typeof compileConditions>, call: HookCall): boolean {
  const facts = new RequestFacts(call.request, call.ip)
  return conditions.every((condition) => condition.passes(facts))
}

function percent(share: number): string {
  return `${Number((share * 100).toFixed(3))} %`
}

/** One request that waits: in the list as long as its client does. */
class Wait implements Timed {
  dueAt = Number.POSITIVE_INFINITY
  slot = -1
  readonly #call: HookCall
  readonly #verdict: Verdict | null
  readonly #deadlines: Deadlines

  constructor(call: HookCall, verdict: Verdict | null, deadlines: Deadlines) {
    this.#call = call
    this.#verdict = verdict
    this.#deadlines = deadlines
  }

  begin(ms: number): void {
    this.dueAt = this.#deadlines.in(ms)
    this.#deadlines.add(this)
    this.#call.request.whenEnded(() => this.#deadlines.remove(this))
  }

  onDeadline(): void {
    this.#deadlines.remove(this)
    this.#call.resume(this.#verdict)
  }
}
