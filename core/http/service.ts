/** What every exchange of a listener shares: its plan and the runtime behind it. Replaced as a whole when a plan is swapped in. */
import type { Deadlines } from '../deadlines.ts'
import type { Observer } from '../events.ts'
import type { RequestRules } from '../net/http1/request.ts'
import type { ListenerPlan, SplitDestination } from '../plan/plan.ts'
import type { UpstreamPlan } from '../plan/upstream-plan.ts'
import type { Asked } from '../upstream/request-key.ts'
import type { Upstream } from '../upstream/upstream.ts'
import type { Forwarding } from './forwarding.ts'
import type { LogHooks } from './log-hooks.ts'
import type { Mirroring } from './mirrors.ts'
import type { Tally } from './tally.ts'

export interface Service {
  /** Another one for each service: what was worked out under one is told apart by it, and keeps none alive. */
  readonly number: number
  /** Of the plan; each exchange counts itself in and out. */
  readonly tally: Tally
  /** Of the plan. */
  readonly generation: number
  readonly listener: ListenerPlan
  /** What its codec is strict about. */
  readonly rules: RequestRules
  /** Null: its routes say where requests go. Else they say it themselves. */
  readonly forward: Forwarding | null
  /** The same for what comes by tunnels that end here, which is written as origins are asked; null: none do. */
  readonly inside: Service | null
  /** Of a listener whose clients were on their way to elsewhere: rules about that, and connections to it. */
  readonly places: Forwarding | null
  readonly deadlines: Deadlines
  readonly observer: Observer
  /** Of the worker. */
  readonly mirrors: Mirroring
  /** Null: nothing of this listener has an `onLog`. */
  readonly logHooks: LogHooks | null
  upstreamFor(plan: UpstreamPlan): Upstream
  /** The part of a split whose turn it is, exactly by weight and spread evenly; or that of the asker's key. */
  partOf(split: SplitDestination, asked: Asked): Upstream
  upstreamNamed(name: string): Upstream | null
  /** A number that counts exchanges of this worker → an id that is unique among all. */
  requestId(serial: number): string
  nextSerial(): number
}
