/**
 * One health check of one endpoint, on a connection of its own: over the upstream's TLS and with its PROXY header, as a request would go.
 * It is over within its time, whatever the endpoint does, and what it answers is read as strictly as any answer.
 */
import type { Deadlines, Timed } from '../deadlines.ts'
import type { ErrorCode } from '../errors.ts'
import type { ResponseHead } from '../net/http1/head.ts'
import type { HealthCheckPlan } from '../plan/upstream-plan.ts'
import type { ResponseSink, UpstreamConnection } from './connection.ts'
import type { Origination } from './dial.ts'
import { GrpcCheck } from './grpc-check.ts'
import type { Pool } from './pool.ts'

export interface ProbeOptions {
  readonly plan: HealthCheckPlan
  readonly pool: Pool
  /** What is spoken instead of the upstream's own TLS, for a check of TLS alone. */
  readonly tls: Origination | null
  readonly host: string
  /** The upstream's own TLS is spoken. */
  readonly isSecure: boolean
  readonly deadlines: Deadlines
  /** Called once, unless it is cancelled. `why`: a few words for the log. */
  done(passed: boolean, why: string): void
}

const H2 = ['h2']

export class HealthProbe implements ResponseSink, Timed {
  readonly answersHead = false
  readonly keepsFraming = false
  dueAt: number
  slot = -1
  readonly #options: ProbeOptions
  #giveUp: (() => void) | null = null
  #connection: UpstreamConnection | null = null
  #isOver = false

  constructor(options: ProbeOptions) {
    this.#options = options
    this.dueAt = options.deadlines.in(options.plan.timeout)
  }

  start(): void {
    const { plan, pool, tls, deadlines } = this.#options
    deadlines.add(this)
    this.#giveUp = pool.dialApart(
      tls,
      (connection, error, detail) => {
        this.#giveUp = null
        if (connection !== null) this.#onConnected(connection)
        else this.#end(this.#isAnswerEnough(error), detail === null ? error! : `${error}: ${detail}`)
      },
      ...(plan.type === 'grpc' ? [H2] : []),
    )
  }

  cancel(): void {
    this.#isOver = true
    this.#close()
  }

  onDeadline(): void {
    this.#end(false, `no answer within ${this.#options.plan.timeout} ms`)
  }

  #onConnected(connection: UpstreamConnection): void {
    const { plan, host, isSecure } = this.#options
    this.#connection = connection
    if (plan.type === 'grpc') {
      new GrpcCheck(connection.takeWire(), {
        ...{ host, isSecure, service: plan.service },
        done: (passed, why) => this.#end(passed, why),
        closed: () => connection.left(),
      })
      return
    }
    if (plan.type !== 'http') return this.#end(true, plan.type === 'tcp' ? 'it accepts connections' : 'it speaks TLS')
    connection.start(this)
    const lines = `Host: ${host}\r\nUser-Agent: sluice-health-check\r\nAccept: */*\r\nConnection: close\r\n`
    connection.wire.writeText(`GET ${plan.path} HTTP/1.1\r\n${lines}\r\n`)
    connection.requestSent = true
  }

  /** Whoever shows a certificate that is not for us speaks TLS all the same, where nothing else was asked. */
  #isAnswerEnough(error: ErrorCode | null): boolean {
    return error === 'tls_certificate' && this.#options.tls !== null
  }

  onHead({ status }: ResponseHead): void {
    const { statuses } = this.#options.plan
    this.#connection!.discard()
    this.#connection = null
    this.#end(statuses === null ? status < 300 : statuses.includes(status), `status ${status}`)
  }

  onUpgraded(_: ResponseHead, connection: UpstreamConnection): void {
    this.#connection = null
    connection.wire.destroy()
    connection.left()
    this.#end(false, 'status 101')
  }

  onFailed(code: ErrorCode, detail: string | null): void {
    this.#connection = null
    this.#end(false, detail === null ? code : `${code}: ${detail}`)
  }

  onInformational(): void {}
  onBody(): void {}
  onBodyText(): void {}
  onBodyEnd(): void {}
  onReadEnd(): void {}
  onSendable(): void {}

  #end(passed: boolean, why: string): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#close()
    this.#options.done(passed, why)
  }

  #close(): void {
    this.#options.deadlines.remove(this)
    this.#giveUp?.()
    this.#giveUp = null
    const connection = this.#connection
    this.#connection = null
    if (connection === null) return
    if (connection.sink === null) connection.wire.destroy()
    else connection.abort()
  }
}
