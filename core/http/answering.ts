/** What an exchange answers by itself, errors above all, and how it ends: answered, broken off, or left by its client. */
import { monotonicMs } from '../clock.ts'
import { type ErrorCode, errorTable } from '../errors.ts'
import { type Hook, type HookCall, type LogChoice, PENDING, type Verdict } from '../hooks.ts'
import type { Paces } from '../policy/throttle.ts'
import { isOfEndpoint } from '../upstream/safeguards.ts'
import { Absent } from './absent.ts'
import { ask, errorText } from './ask.ts'
import type { Detour } from './detour.ts'
import { HedgedAttempt } from './hedged-attempt.ts'
import { PacedDownstream, type PacedOwner } from './paced-downstream.ts'
import { makeErrorReply, makeReply, type Reply } from './reply.ts'

export abstract class Answering extends HedgedAttempt implements HookCall, PacedOwner {
  abstract resume(verdict: Verdict | null): void
  /** The response hooks that are left, and then the reply. */
  protected abstract askResponse(): void
  abstract onPaced(): void

  /** The hooks asked so far whose response hooks are to be asked, in order. */
  protected asked(): Hook[] {
    if (this.listenerAsked + this.routeAsked === 0) return []
    const asked = [
      ...this.service.listener.hooks.slice(0, this.listenerAsked),
      ...(this.match?.route.hooks.slice(0, this.routeAsked) ?? []),
    ]
    return this.outside === 0 ? asked : asked.slice(this.outside)
  }

  protected answer(make: () => Reply): void {
    this.stage = 'responseHooks'
    this.requestFilter?.close()
    this.setLocal(make)
    this.askResponse()
  }

  get connectionMark(): object {
    return this.downstream.memo
  }

  pace(paces: Paces): void {
    const paced = this.paced ?? new PacedDownstream(this.downstream, this)
    if (this.paced === null) this.request.whenEnded(() => paced.close())
    this.paced = paced
    this.downstream = paced
    paced.add(paces, this.bytesIn)
  }

  log(choice: LogChoice): void {
    this.logChoice = choice
  }

  /** A hook has refused it. */
  protected refuseBy(verdict: Verdict & { readonly kind: 'fail' }): void {
    this.refusal = verdict
    this.fail(verdict.error.code, verdict.error.message)
  }

  protected fail(code: ErrorCode, detail: string | null): void {
    if (this.stage !== 'ended') this.failTo(code, detail, this.asked())
  }

  /** `asked`: hooks that may put something else in the place of the error. */
  protected failTo(code: ErrorCode, detail: string | null, asked: readonly Hook[]): void {
    this.tryClock?.stop()
    if (this.ticket !== 0) this.settle(code)
    if (this.place !== null) this.leavePlace(this.place, isOfEndpoint(code) ? Number.NaN : null)
    this.reason = code
    this.detail = detail
    this.part = null
    this.requestFilter?.close()
    this.toAsk = asked.filter((hook) => hook.onError !== null)
    if (this.toAsk.length === 0) return this.answer(() => this.errorReply(code, detail))
    this.stage = 'errorHooks'
    this.part = { kind: 'error', code, status: errorTable[code].status, detail: detail ?? errorTable[code].text }
    this.askError()
  }

  protected askError(): void {
    for (let hook = this.toAsk!.pop(); hook !== undefined; hook = this.toAsk!.pop()) {
      this.asking = hook
      const answer = ask(hook.onError!, this)
      this.isAsking = answer === PENDING
      if (answer === PENDING || this.applyError(answer)) return
    }
    this.part = null
    this.answer(() => this.errorReply(this.reason!, this.detail))
  }

  /** Returns whether the error is answered. A hook that fails changes nothing: the first error is the one to be told. */
  protected applyError(verdict: Verdict | null): boolean {
    if (verdict?.kind !== 'respond') return false
    let reply: Reply
    try {
      reply = makeReply(verdict.status, verdict.body, verdict.headers)
    } catch {
      return false
    }
    this.decidedBy = this.asking!.name
    this.part = null
    this.answer(() => reply)
    return true
  }

  protected errorReply(code: ErrorCode, detail: string | null): Reply {
    this.reason = code
    this.detail = detail
    const { refusal, request, id } = this
    // Whoever came by a tunnel that ends here cannot see for itself why its server is not there.
    const isTold = TOLD.has(code) || (this.downstream.inside !== null && errorTable[code].origin === 'upstream')
    const fields =
      code === 'circuit_open' ? this.target?.safeguards?.retryFields : refusal?.error.code === code ? refusal.fields : undefined
    return makeErrorReply(code, request, id, { proxy: this.service.listener.via ?? 'proxy', fields, detail: isTold ? detail : null })
  }

  protected setLocal(make: () => Reply): void {
    let reply: Reply
    try {
      reply = make()
    } catch (error) {
      reply = this.errorReply('hook_failed', errorText(error))
    }
    this.response = reply.head
    this.length = reply.body.length
    this.localBody = reply.body
  }

  /** After its hooks were asked about a head that was not sent. */
  protected failLate(code: ErrorCode, detail: string | null): void {
    this.dropResponse()
    this.failTo(code, detail, this.askedAll!)
  }

  // ── ends ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The response is another one: what the endpoint still sends is not wanted. */
  protected replace(make: () => Reply): void {
    this.dropResponse()
    this.setLocal(make)
  }

  /** What the endpoint said, and may still say, is not wanted. */
  protected dropResponse(): void {
    this.giveUp()
    this.answeredAt = 0
    this.held = null
    this.detour?.close()
    this.detour = null
    this.stored = null
  }

  /** The client itself has put an end to it, in the midst of whatever was asked. */
  protected interrupt(): void {
    this.dropResponse()
    // The answer of a hook that is being asked would be taken for that of the next one asked: no other is.
    if (this.isAsking) this.listenerAsked = this.routeAsked = 0
  }

  /** The head is sent and the rest will not come. */
  protected breakOff(code: ErrorCode, detail: string | null): void {
    if (this.stage === 'responseHooks') {
      // Nothing was sent yet: the client still gets a clean error.
      this.reason = code
      this.replace(() => this.errorReply(code, detail))
      return
    }
    if (this.stage === 'filtering') return this.failLate(code, detail)
    this.reason = code
    this.detail = detail
    this.giveUp()
    this.downstream.abort()
    this.tell()
  }

  /** The client went away, or its request body could not be read on. */
  abandon(code: ErrorCode, detail: string | null): void {
    if (this.stage === 'ended') return
    this.reason = code
    this.detail = detail
    if (this.stage === 'replying' && this.detour?.isShared === true) return this.goOnAlone(this.detour)
    this.giveUp()
    this.tell()
  }

  /** Others read what is still to come. */
  private goOnAlone(detour: Detour): void {
    this.downstream = new Absent(this.downstream)
    this.paced?.close()
    this.paced = null
    detour.leave()
    ;(this.supply ?? this.connection)?.resume()
  }

  /** The request body is malformed or late: answered while that is still possible. */
  rejectBody(code: ErrorCode, detail: string | null): void {
    if (this.stage === 'replying') {
      this.downstream.abort()
      return this.abandon(code, detail)
    }
    this.interrupt()
    this.sendsNoMore = false
    this.fail(code, detail)
  }

  /** A hook has ended the request's body, or it cannot be decoded. */
  stopBody(verdict: Verdict, by: Hook | null): void {
    if (this.stage === 'ended') return
    this.decidedBy = by?.name ?? this.decidedBy
    const [code, detail] = bodyFailure(verdict, 'request_denied')
    if (this.stage === 'replying') {
      this.downstream.abort()
      return this.abandon(code, detail)
    }
    this.interrupt()
    if (verdict.kind === 'respond') this.answer(() => makeReply(verdict.status, verdict.body, verdict.headers))
    else this.fail(code, detail)
  }

  protected end(): void {
    if (this.paced?.holds === true) return this.endPaced(this.paced)
    this.tell()
    this.downstream.finished()
  }

  /** `onPaced` follows. */
  private endPaced(paced: PacedDownstream): void {
    this.answeredAt = 0
    paced.isEnding = true
  }

  protected report(): void {
    this.service.observer.exchangeEnded(this)
  }

  protected tell(): void {
    this.stage = 'ended'
    this.leaveEndpoint()
    if (this.ticket !== 0) this.settle('client_gone')
    if (this.place !== null) this.leavePlace(this.place, null)
    this.requestFilter?.close()
    this.spooledRequest?.close()
    this.detour?.close()
    if (this.caching !== null) this.caching.ended()
    // What ended inside the read that brought its head ended then.
    this.durationMs = (this.answeredAt > 0 ? this.answeredAt : monotonicMs()) - this.started
    if (this.meter !== null) this.meter.end(this.bytesIn + this.bytesOut)
    this.report()
    const endings = this.request.takeEndings()
    if (endings !== null) for (const ending of endings) ending()
    this.service.tally.leave()
  }
}

/** Their detail is a rule that the client may know. */
const TOLD: ReadonlySet<ErrorCode> = new Set(['host_blocked', 'content_blocked', 'quota_exceeded', 'time_refused'])

/** Of a body that was ended by this verdict. */
export function bodyFailure(verdict: Verdict, denied: ErrorCode): readonly [ErrorCode, string | null] {
  if (verdict.kind === 'fail') return [verdict.error.code, verdict.error.message]
  if (verdict.kind === 'deny') return [denied, null]
  if (verdict.kind === 'respond' && denied === 'request_denied') return [denied, 'answered when the response had begun']
  return ['hook_failed', `an answer of the wrong kind: ${verdict.kind}`]
}
