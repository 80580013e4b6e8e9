/**
 * An answer's body on its way to the client: from what it is read from (a connection, a file, a spool) past what stands in between, as fast as the client takes it.
 */
import type { BufferBounds } from '../plan/upstream-plan.ts'
import { Answering } from './answering.ts'
import type { BodySupply } from './body-supply.ts'
import type { Detour } from './detour.ts'
import { type AnswerTaker, SpooledAnswer } from './spooled-answer.ts'

export abstract class Passing extends Answering implements AnswerTaker {
  /** A read is over, and its body goes another way. */
  protected abstract filterRead(filter: Detour): void

  /** What is read for the answer's body. */
  protected get feed(): BodySupply | null {
    return this.supply ?? this.connection
  }

  protected spoolAnswer({ memoryBytes }: BufferBounds): void {
    this.spooled = new SpooledAnswer(this, { memoryBytes, room: this.target!.diskRoom! })
    this.supply = this.spooled
    this.isUnframed = true
  }

  onBody(prefix: string, bytes: Buffer, from: number, to: number): void {
    if (this.spooled === null) this.passBody(prefix, bytes, from, to)
    else this.spooled.push(bytes, from, to)
  }

  passBody(prefix: string, bytes: Buffer, from: number, to: number): void {
    if (this.detour !== null) return this.detour.push(bytes, from, to)
    if (this.isBodyless) return
    this.bytesOut += prefix.length + to - from
    if (this.bytesOut > this.response!.mostBody) return this.overrun()
    if (this.held !== null) this.held.push(prefix + bytes.latin1Slice(from, to))
    else if (!this.downstream.sendBody(prefix, bytes, from, to)) this.feed?.pause()
  }

  onBodyText(text: string): void {
    if (this.spooled !== null) return this.spooled.pushText(text)
    if (this.detour !== null) return this.detour.pushText(text)
    if (this.isBodyless) return
    this.bytesOut += text.length
    if (this.bytesOut > this.response!.mostBody) return this.overrun()
    if (this.held !== null) this.held.push(text)
    else this.downstream.sendText(text)
  }

  onBodyEnd(trailers: string): void {
    if (this.detour !== null) this.source = this.connection
    if (this.isGood) this.target!.safeguards!.answered(this.chosen!, 200, this.upstreamMs)
    this.connection = null
    this.leaveEndpoint()
    if (this.spooled === null) this.passEnd(trailers)
    else this.spooled.end(trailers)
  }

  passEnd(trailers: string): void {
    this.spooled = null
    this.supply = null
    this.complete = true
    this.trailers = trailers
    if (this.held === null && this.detour === null) this.downstream.endBody(trailers)
  }

  onReadEnd(): void {
    if (this.spooled === null) return this.passReadEnd()
    this.spooled.readEnd()
    this.answeredAt = 0
  }

  pauseEndpoint(): void {
    this.connection?.pause()
  }

  resumeEndpoint(): void {
    this.connection?.resume()
  }

  onSupplyFailed(detail: string): void {
    this.breakOff('file_failed', detail)
  }

  passReadEnd(): void {
    if (this.detour !== null) return this.filterRead(this.detour)
    if (this.held !== null) {
      this.answeredAt = 0
      if (!this.complete) this.feed?.pause()
      return
    }
    if (this.stage !== 'replying') return
    const flowing = this.downstream.flush()
    if (this.complete) return this.end()
    this.answeredAt = 0
    if (!flowing) this.feed?.pause()
  }

  /** More of the body has come than may go on. */
  protected overrun(): void {
    if (this.stage !== 'ended') this.breakOff('content_blocked', `a body of more than ${this.response!.mostBody} bytes`)
  }

  /** The client took what was written. */
  onReceivable(): void {
    if (this.paced === null) this.goOn()
    else this.paced.drained()
  }

  onPaced(): void {
    if (this.paced?.isEnding === true) this.end()
    else this.goOn()
  }

  private goOn(): void {
    if (this.detour !== null) this.detour.drained()
    else if (this.held === null && !this.complete) this.feed?.resume()
  }
}
