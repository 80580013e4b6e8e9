/**
 * Asks the hooks of a TCP listener about one of its connections, one after the other, and then those of its route. It holds the hooks,
 * which outlive their plan so.
 */
import { type ErrorCode, ProxyError } from '../errors.ts'
import {
  type Answer,
  type CallPart,
  type ConnectionFacts,
  type ConnectionPart,
  type Hook,
  type HookCall,
  nextState,
  PENDING,
  type Verdict,
} from '../hooks.ts'
import { noRequest } from '../net/http1/head.ts'

/** The routes are not asked any more. `upstream`: its name; null: it ends here. */
export interface Decision {
  readonly upstream: string | null
  readonly code: ErrorCode
  readonly detail: string
  /** Name of the hook. */
  readonly by: string
}

/** What goes on in the place of data; null: the connection ends here. */
export type Inspected = { readonly bytes: Uint8Array } | Decision

interface Asked {
  readonly hook: Hook
  readonly state: number
}

type Moment = 'onConnection' | 'onClientHello'

export class ConnectionHooks {
  readonly #connection: ConnectionFacts
  #asked: readonly Asked[] = []
  /** Of the listener: the others are the route's. */
  readonly #first: number
  #isClosed = false

  constructor(hooks: readonly Hook[], { ip, port, listener }: ConnectionFacts) {
    this.#connection = { ip, port, listener }
    this.#first = hooks.length
    this.#add(hooks)
  }

  /** Those of the route that was chosen, after the listener's. */
  addRoute(hooks: readonly Hook[]): void {
    this.#add(hooks)
  }

  get wantsHello(): boolean {
    return this.#asked.some(({ hook }) => hook.onClientHello !== null)
  }

  get wantsData(): boolean {
    return this.#asked.some(({ hook }) => hook.onData !== null)
  }

  /** The connection is over: nobody waits for answers any more. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const { hook, state } of this.#asked) {
      hook.forget(state)
      hook.release()
    }
  }

  /** Of the listener, or of the route. `done` may be called at once; with null, they leave it to the routes. */
  ask(of: 'listener' | 'route', moment: Moment, hello: ConnectionPart['hello'], done: (decision: Decision | null) => void): void {
    const connection = this.#connection
    const hooks = of === 'listener' ? this.#asked.slice(0, this.#first) : this.#asked.slice(this.#first)
    this.#each(
      moment,
      hooks,
      (state) => ({ kind: 'connection', connection, hello, state }),
      (verdict, name) => (verdict === null ? null : decide(verdict, name)),
      done,
    )
  }

  /** In the order of the list, reversed for what comes from the endpoint. `done` may be called at once. */
  inspect(bytes: Uint8Array, from: 'client' | 'upstream', done: (inspected: Inspected) => void): void {
    const connection = this.#connection
    let now = bytes
    this.#each(
      'onData',
      from === 'upstream' ? this.#asked.toReversed() : this.#asked,
      (state) => ({ kind: 'data', connection, bytes: now, from, state }),
      (verdict, name) => {
        if (verdict?.kind === 'bytes') now = verdict.bytes
        else if (verdict !== null) return decide(verdict, name)
        return null
      },
      (decision) => done(decision ?? { bytes: now }),
    )
  }

  #add(hooks: readonly Hook[]): void {
    for (const hook of hooks) hook.hold()
    this.#asked = [...this.#asked, ...hooks.map((hook) => ({ hook, state: nextState() }))]
  }

  #each(
    moment: Moment | 'onData',
    hooks: readonly Asked[],
    partOf: (state: number) => CallPart,
    judge: (verdict: Verdict | null, name: string) => Decision | null,
    done: (decision: Decision | null) => void,
  ): void {
    const asked = hooks.filter(({ hook }) => hook[moment] !== null)
    let next = 0
    const goOn = (): void => {
      while (next < asked.length) {
        const { hook, state } = asked[next++]!
        const answer = this.#attempt(hook, moment, partOf(state), (verdict) => {
          const decision = judge(verdict, hook.name)
          if (decision === null) goOn()
          else done(decision)
        })
        if (answer === PENDING) return
        const decision = judge(answer, hook.name)
        if (decision !== null) return done(decision)
      }
      done(null)
    }
    goOn()
  }

  /** A hook of the user's that throws ends this connection alone. */
  #attempt(hook: Hook, moment: Moment | 'onData', part: CallPart, resume: (verdict: Verdict | null) => void): Answer {
    const isOver = (): boolean => this.#isClosed
    let isPending = true
    const call: HookCall = {
      request: noRequest,
      response: null,
      ip: this.#connection.ip,
      part,
      get ended() {
        return isOver()
      },
      resume(verdict) {
        if (!isPending || isOver()) return
        isPending = false
        resume(verdict)
      },
    }
    try {
      return hook[moment]!(call)
    } catch (error) {
      if (error instanceof ProxyError) return { kind: 'fail', error }
      return { kind: 'fail', error: new ProxyError('hook_failed', error instanceof Error ? error.message : String(error), error) }
    }
  }
}

function decide(verdict: Verdict, by: string): Decision {
  if (verdict.kind === 'routeTo') return { upstream: verdict.upstream, code: 'unknown_upstream', detail: verdict.upstream, by }
  if (verdict.kind === 'deny') return { upstream: null, code: 'connection_denied', detail: by, by }
  if (verdict.kind === 'fail') return { upstream: null, code: verdict.error.code, detail: `${by}: ${verdict.error.message}`, by }
  return { upstream: null, code: 'hook_failed', detail: `${by}: an answer of the wrong kind: ${verdict.kind}`, by }
}
