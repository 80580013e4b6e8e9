/** Runs a plugin's hooks on the calls of a batch and writes down their answers. The only code of the sandbox that the host calls. */
import {
  ASYNC,
  AT,
  CELL,
  type Definition,
  DONE,
  FIRST_PART_KIND,
  HAS_REQUEST,
  IS_RESPONSE,
  KIND_HEAD,
  MORE,
  OUT,
  OUT_AT,
  OWNER,
  TIMER,
  TO,
  USE_SHIFT,
} from '../wire.ts'
import { AnswerWriter } from './answers.ts'
import { putBack, settleAsk, takeAsks } from './asks.ts'
import { shiftClock } from './clock.ts'
import { hasLines, takeLines } from './console.ts'
import { checkDefinition, checkHooks, type PluginDefinition, readOptions } from './definition.ts'
import { describe } from './describe.ts'
import { createHost } from './host.ts'
import { Parts } from './parts.ts'
import { IntArray, NativePromise, onSettled, parse, stringify } from './primordials.ts'
import { installHooks, type UseHooks } from './set-up.ts'
import { stateText } from './state.ts'
import { runDueTimer, tellNext } from './timers.ts'
import { Call, Request, RequestView, Response } from './views.ts'

/** What the host may call. Every one of them takes and returns primitives only. */
export interface Guest {
  define(wrapper: unknown): string
  setUp(use: number, options: string, restore: string): string
  drop(use: number): void
  reload(use: number, begins: number): string
  /** Which calls, is on the tape. */
  run(...pieces: string[]): string
  finished(): string
  drain(): string
  tick(): void
  clock(shiftMs: number): void
  granted(id: number, isDone: number, ...pieces: string[]): void
  attach(bytes: SharedArrayBuffer, outAt: number): void
}

export function createGuest(tape: Int32Array, api: object): Guest {
  const runtime = new Runtime(tape, api)
  return {
    define: (wrapper) => runtime.define(wrapper),
    setUp: (use, options, restore) => runtime.setUp(use, options, restore),
    drop: (use) => runtime.drop(use),
    reload: (use, begins) => runtime.reload(use, begins === 1),
    run: (...pieces) => runtime.run(pieces),
    finished: () => runtime.finished(),
    drain: () => runtime.drain(),
    tick: () => runtime.tick(),
    clock: (shiftMs) => runtime.clock(shiftMs),
    granted: (id, isDone, ...pieces) => settleAsk(id, isDone === 1, joined(pieces)),
    attach: (bytes, outAt) => runtime.attach(bytes, outAt),
  }
}

interface Settled {
  readonly call: Call
  readonly use: number
  readonly value: unknown
  readonly failed: boolean
}

class Runtime {
  readonly #tape: Int32Array
  /** What a plugin finds in `sluice/plugin`. */
  readonly #api: object
  readonly #answers: AnswerWriter
  readonly #parts = new Parts()
  readonly #uses: (UseHooks | null)[] = []
  /** What `setUp` returns, by use. */
  readonly #setUps: (string | undefined)[] = []
  /** What `reload` returns, by use. */
  readonly #handedOver: (string | undefined)[] = []
  /** Calls whose promise has settled since the last drain. */
  #settled: Settled[] = []
  #definition: PluginDefinition | null = null
  #sees: readonly string[] | null = null
  /** Answers of the calls finished so far, should the running one never return. */
  #committed = ''

  constructor(tape: Int32Array, api: object) {
    this.#tape = tape
    this.#api = api
    this.#answers = new AnswerWriter(tape)
    tape[TIMER] = -1
  }

  run(pieces: readonly string[]): string {
    const tape = this.#tape
    const to = tape[TO]!
    let at = tape[AT]!
    const answers = this.#answers
    const text = pieces.length === 1 ? pieces[0]! : joined(pieces)
    this.#committed = ''
    answers.begin()
    for (let i = tape[CELL]!; i < to; ) {
      tape[CELL] = i
      tape[OWNER] = tape[at + 2]!
      this.#runCall(text, at)
      at += tape[at]!
      i++
      this.#committed = answers.text
      tape[OUT] = answers.at - OUT_AT
      tape[DONE] = i
      // After a promise the crossing ends: what runs next belongs to this call, and the host enters for each call alone from now on.
      if (tape[ASYNC] === 1 || answers.isFull) break
    }
    tape[CELL] = -1
    // Unless something else waits, no second crossing is needed for what left with this one.
    if (this.#tellAsks() && this.#settled.length === 0 && !hasLines()) tape[MORE] = 0
    tape[OUT] = answers.at - OUT_AT
    return answers.text
  }

  /** As many as fit. False: the others leave with the next crossing. */
  #tellAsks(): boolean {
    const asks = takeAsks()
    for (let i = 0; i < asks.length; i++) {
      if (this.#answers.isFull) {
        putBack(asks, i)
        this.#tape[MORE] = 1
        return false
      }
      this.#answers.ask(asks[i]!)
    }
    return true
  }

  attach(bytes: SharedArrayBuffer, outAt: number): void {
    this.#parts.attach(bytes)
    this.#answers.attach(bytes, outAt, bytes.byteLength - outAt)
  }

  /** After a crossing that was cut short: what the finished calls answered. */
  finished(): string {
    this.#answers.forget()
    return this.#committed
  }

  /** Answers of promises that have settled, and lines of console. */
  drain(): string {
    const tape = this.#tape
    const answers = this.#answers
    tape[MORE] = 0
    answers.begin()
    const queue = this.#settled
    this.#settled = []
    for (let i = 0; i < queue.length; i++) {
      if (answers.isFull || !this.#answerSettled(queue[i]!)) {
        this.#settled[this.#settled.length] = queue[i]!
        tape[MORE] = 1
      }
    }
    const lines = takeLines()
    for (let i = 0; i < lines.length; i++) answers.log(lines[i]!)
    this.#tellAsks()
    tape[OUT] = answers.at - OUT_AT
    return answers.text
  }

  define(wrapper: unknown): string {
    const definition = checkDefinition((wrapper as (api: object) => unknown)(this.#api))
    this.#definition = definition
    this.#sees = definition.sees
    const { name, permissions, sees, match, at } = definition
    const told: Definition = { name, permissions, sees, match, at }
    return stringify(told)
  }

  /** Returns the SetUp as JSON, `!` and a text if it failed, or `''` while that is open: `setUp(use, '', '')` asks again. */
  setUp(use: number, options: string, restore: string): string {
    const known = this.#setUps[use]
    if (known !== undefined) return known
    this.#setUps[use] = ''
    const restored: unknown = restore === '' ? undefined : parse(restore)
    const host = createHost(restored)
    const definition = this.#definition!
    const start = async (): Promise<void> => {
      const hooks = await definition.setup(await readOptions(definition, parse(options)), host)
      this.#setUps[use] = stringify(this.#install(use, checkHooks(hooks, definition.permissions)))
    }
    onSettled(
      start(),
      () => undefined,
      (error) => {
        this.#setUps[use] = `!${describe(error)}`
      },
    )
    return ''
  }

  drop(use: number): void {
    this.#handedOver[use] = undefined
    this.#uses[use] = null
    this.#setUps[use] = undefined
  }

  /** `=` and what the next version of this use gets from `host.restore()`, `!` and why there is nothing, or `''` while that is open. */
  reload(use: number, begins: boolean): string {
    if (!begins) return this.#handedOver[use] ?? ''
    this.#handedOver[use] = ''
    const give = async (): Promise<string> => `=${stateText(await this.#uses[use]?.onReload?.())}`
    onSettled(
      give(),
      (text) => {
        this.#handedOver[use] = text as string
      },
      (error) => {
        this.#handedOver[use] = `!${describe(error)}`
      },
    )
    return ''
  }

  tick(): void {
    runDueTimer((owner) => {
      this.#tape[OWNER] = owner
    })
  }

  clock(shiftMs: number): void {
    shiftClock(shiftMs)
    tellNext()
  }

  #runCall(text: string, at: number): void {
    const tag = this.#tape[at + 1]!
    const call = new Call(this.#tape, at, text, this.#sees)
    try {
      const use = this.#uses[tag >> USE_SHIFT]!
      let value: unknown
      if (call.kind !== KIND_HEAD) value = this.#parts.run(call, use)
      else if ((tag & IS_RESPONSE) === 0) value = use.onRequest!(new Request(call))
      else value = use.onResponse!(new Response(call), (tag & HAS_REQUEST) === 0 ? undefined : new RequestView(call))
      if (typeof value === 'object' && value !== null && isThenable(value)) {
        this.#wait(call, use.index, value)
        return
      }
      if (call.kind < FIRST_PART_KIND) this.#answers.write(call, use.index, value)
      else if (!this.#writePart(call, value)) this.#later(call, use.index, value)
    } catch (error) {
      this.#answers.fail(call, describe(error))
      this.#parts.ended(call)
    }
    call.ended = true
  }

  /** The answer comes later. The call keeps its own copy of its numbers, for the batch's are about to be overwritten. */
  #wait(call: Call, use: number, value: object): void {
    this.#keep(call)
    this.#answers.pending(call)
    this.#tape[ASYNC] = 1
    const settle = (value: unknown, failed: boolean): void => {
      this.#settled[this.#settled.length] = { call, use, value, failed }
      this.#tape[MORE] = 1
    }
    onSettled(
      new NativePromise((resolve) => resolve(value)),
      (value) => settle(value, false),
      (error) => settle(error, true),
    )
  }

  /** Its numbers, copied: those of the batch are about to be overwritten. By index, for no constructor is asked for a part of the tape. */
  #keep(call: Call): void {
    const length = call.ints[call.at]!
    const own = new IntArray(length)
    for (let i = 0; i < length; i++) own[i] = call.ints[call.at + i]!
    call.ints = own
    call.at = 0
  }

  /** The answer is known, but its bytes have to wait for the next crossing. */
  #later(call: Call, use: number, value: unknown): void {
    this.#keep(call)
    this.#answers.pending(call)
    this.#settled[this.#settled.length] = { call, use, value, failed: false }
    this.#tape[MORE] = 1
  }

  /** False: its bytes do not fit any more. */
  #writePart(call: Call, value: unknown): boolean {
    const reply = this.#parts.read(call, value)
    if (reply !== null && !this.#answers.writePart(call, reply)) return false
    this.#parts.ended(call)
    return true
  }

  /** False: its bytes do not fit any more. */
  #answerSettled({ call, use, value, failed }: Settled): boolean {
    if (failed) {
      this.#answers.fail(call, describe(value))
      this.#parts.ended(call)
    } else {
      try {
        if (call.kind < FIRST_PART_KIND) this.#answers.writeSettled(call, use, value)
        else {
          const before = this.#answers.at
          if (!this.#writePart(call, value)) return false
          if (this.#answers.at === before) this.#answers.nothing(call)
        }
      } catch (error) {
        this.#answers.fail(call, describe(error))
        this.#parts.ended(call)
      }
    }
    call.ended = true
    return true
  }

  #install(use: number, hooks: ReturnType<typeof checkHooks>): object {
    const { installed, told } = installHooks(use, hooks)
    this.#uses[use] = installed
    return told
  }
}

function joined(pieces: readonly string[]): string {
  let text = ''
  for (let i = 0; i < pieces.length; i++) text += pieces[i]
  return text
}

function isThenable(value: object): boolean {
  return typeof (value as { then?: unknown }).then === 'function'
}
