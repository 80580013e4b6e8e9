/** Runs a plugin's hooks on the calls of a batch and writes down their answers. The only code of the sandbox that the host calls. */
import {
  ASYNC,
  CELL,
  type Definition,
  DONE,
  HAS_REQUEST,
  IS_RESPONSE,
  MORE,
  OUT,
  OUT_AT,
  OWNER,
  type SetUp,
  TIMER,
  USE_SHIFT,
} from '../wire.ts'
import { AnswerWriter } from './answers.ts'
import { takeLines } from './console.ts'
import { type AnyHook, checkDefinition, checkHooks, type PluginDefinition, readOptions } from './definition.ts'
import { describe } from './describe.ts'
import { createKv } from './kv.ts'
import { needsOf } from './needs.ts'
import { bound, functionText, IntArray, matches, NativePromise, onSettled, parse, stringify, subarray } from './primordials.ts'
import { runDueTimer } from './timers.ts'
import { Call, Request, RequestView, Response } from './views.ts'

interface Use {
  readonly onRequest: AnyHook | null
  readonly onResponse: AnyHook | null
  readonly onReload: AnyHook | null
  readonly index: number
}

/** What the host may call. Every one of them takes and returns primitives only. */
export interface Guest {
  define(wrapper: unknown): string
  setUp(use: number, options: string, restore: string): string
  drop(use: number): void
  reload(use: number): string
  run(from: number, to: number, at: number, ...pieces: string[]): string
  finished(): string
  drain(): string
  tick(): void
}

export function createGuest(tape: Int32Array, api: object): Guest {
  const runtime = new Runtime(tape, api)
  return {
    define: (wrapper) => runtime.define(wrapper),
    setUp: (use, options, restore) => runtime.setUp(use, options, restore),
    drop: (use) => runtime.drop(use),
    reload: (use) => runtime.reload(use),
    run: (from, to, at, ...pieces) => runtime.run(from, to, at, pieces),
    finished: () => runtime.finished(),
    drain: () => runtime.drain(),
    tick: () => runtime.tick(),
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
  readonly #uses: (Use | null)[] = []
  /** What `setUp` returns, by use. */
  readonly #setUps: (string | undefined)[] = []
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

  run(from: number, to: number, at: number, pieces: readonly string[]): string {
    const tape = this.#tape
    const answers = this.#answers
    let text = ''
    for (let i = 0; i < pieces.length; i++) text += pieces[i]
    this.#committed = ''
    answers.begin()
    for (let i = from; i < to; ) {
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
    return this.#committed
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
      if (answers.isFull) {
        this.#settled[this.#settled.length] = queue[i]!
        tape[MORE] = 1
      } else this.#answerSettled(queue[i]!)
    }
    const lines = takeLines()
    for (let i = 0; i < lines.length; i++) answers.log(lines[i]!.level, lines[i]!.text)
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
    const host = { restore: () => restored, kv: createKv() }
    const definition = this.#definition!
    const start = async (): Promise<void> => {
      const hooks = await definition.setup(await readOptions(definition, parse(options)), host)
      this.#setUps[use] = stringify(this.#install(use, checkHooks(hooks)))
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
    this.#uses[use] = null
    this.#setUps[use] = undefined
  }

  /** What the next version of this use gets from `host.restore()`, as JSON; `''` if there is nothing. */
  reload(use: number): string {
    const value = this.#uses[use]?.onReload?.()
    return value === undefined ? '' : (stringify(value) ?? '')
  }

  tick(): void {
    runDueTimer((owner) => {
      this.#tape[OWNER] = owner
    })
  }

  #runCall(text: string, at: number): void {
    const tag = this.#tape[at + 1]!
    const call = new Call(this.#tape, at, text, this.#sees)
    try {
      const use = this.#uses[tag >> USE_SHIFT]!
      let value: unknown
      if ((tag & IS_RESPONSE) === 0) value = use.onRequest!(new Request(call))
      else value = use.onResponse!(new Response(call), (tag & HAS_REQUEST) === 0 ? undefined : new RequestView(call))
      if (typeof value === 'object' && value !== null && isThenable(value)) {
        this.#wait(call, use.index, value)
        return
      }
      this.#answers.write(call, use.index, value)
    } catch (error) {
      this.#answers.fail(call, describe(error))
    }
    call.ended = true
  }

  /** The answer comes later. The call keeps its own copy of its numbers, for the batch's are about to be overwritten. */
  #wait(call: Call, use: number, value: object): void {
    const length = call.ints[call.at]!
    call.ints = new IntArray(subarray(call.ints, call.at, call.at + length))
    call.at = 0
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

  #answerSettled({ call, use, value, failed }: Settled): void {
    if (failed) this.#answers.fail(call, describe(value))
    else {
      try {
        this.#answers.writeSettled(call, use, value)
      } catch (error) {
        this.#answers.fail(call, describe(error))
      }
    }
    call.ended = true
  }

  #install(use: number, hooks: Record<string, AnyHook>): SetUp {
    const { onRequest, onResponse, onReload } = hooks
    this.#uses[use] = {
      onRequest: onRequest === undefined ? null : bound(onRequest, hooks),
      onResponse: onResponse === undefined ? null : bound(onResponse, hooks),
      onReload: onReload === undefined ? null : bound(onReload, hooks),
      index: use,
    }
    const [responseNeeds, viewNeeds] = onResponse === undefined ? [0, 0] : needsOf(onResponse)
    return {
      onRequest: onRequest !== undefined,
      onResponse: onResponse !== undefined,
      requestNeeds: onRequest === undefined ? 0 : needsOf(onRequest)[0],
      responseNeeds,
      viewNeeds,
      isAsync: isAsyncFunction(onRequest) || isAsyncFunction(onResponse),
      onReload: onReload !== undefined,
    }
  }
}

function isAsyncFunction(hook: AnyHook | undefined): boolean {
  return hook !== undefined && matches(/^async\b/, functionText(hook))
}

function isThenable(value: object): boolean {
  return typeof (value as { then?: unknown }).then === 'function'
}
