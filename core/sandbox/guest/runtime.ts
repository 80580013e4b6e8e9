/** Runs a plugin's hooks on the calls of a batch and writes down their answers. The only code of the sandbox that the host calls. */
import {
  ASYNC,
  CELL,
  CROSSING_TEXT,
  type Definition,
  DONE,
  HAS_REQUEST,
  IS_RESPONSE,
  MORE,
  OUT,
  OUT_AT,
  OUT_INTS,
  OWNER,
  type SetUp,
  TIMER,
  USE_SHIFT,
} from '../wire.ts'
import { AnswerWriter } from './answers.ts'
import { takeLines } from './console.ts'
import { type AnyHook, checkDefinition, checkHooks, type PluginDefinition, readOptions } from './definition.ts'
import { describe } from './describe.ts'
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

export function createGuest(tape: Int32Array, api: Record<string, unknown>): Guest {
  const uses: (Use | null)[] = []
  const answers = new AnswerWriter(tape)
  /** Calls whose promise has settled since the last drain. */
  let settled: { call: Call; use: number; value: unknown; failed: boolean }[] = []
  const setups: (string | undefined)[] = []
  let definition: PluginDefinition | null = null
  let sees: readonly string[] | null = null
  /** Answers of the calls finished so far, should the running one never return. */
  let committed = ''

  function run(from: number, to: number, at: number, ...pieces: string[]): string {
    let text = ''
    for (let i = 0; i < pieces.length; i++) text += pieces[i]
    committed = ''
    answers.begin()
    let i = from
    while (i < to) {
      tape[CELL] = i
      tape[OWNER] = tape[at + 2]!
      runCall(text, at)
      at += tape[at]!
      i++
      committed = answers.text
      tape[OUT] = answers.at - OUT_AT
      tape[DONE] = i
      // After a promise the crossing ends: what runs next belongs to this call, and the host enters for each call alone from now on.
      if (tape[ASYNC] === 1 || answers.at > OUT_AT + OUT_INTS - 2048 || answers.text.length > CROSSING_TEXT) break
    }
    tape[CELL] = -1
    return committed
  }

  function runCall(text: string, at: number): void {
    const tag = tape[at + 1]!
    const use = uses[tag >> USE_SHIFT]!
    const call = new Call(tape, at, text, sees)
    try {
      let value: unknown
      if ((tag & IS_RESPONSE) === 0) value = use.onRequest!(new Request(call))
      else value = use.onResponse!(new Response(call), (tag & HAS_REQUEST) === 0 ? undefined : new RequestView(call))
      if (typeof value === 'object' && value !== null && isThenable(value)) return wait(call, use.index, value)
      answers.write(call, use.index, value)
    } catch (error) {
      answers.fail(call, describe(error))
    }
    call.ended = true
  }

  /** The answer comes later. The call keeps its own copy of its numbers, for the batch's are about to be overwritten. */
  function wait(call: Call, use: number, value: object): void {
    const length = call.ints[call.at]!
    call.ints = new IntArray(subarray(call.ints, call.at, call.at + length))
    call.at = 0
    answers.pending(call)
    tape[ASYNC] = 1
    const settle = (value: unknown, failed: boolean) => {
      settled[settled.length] = { call, use, value, failed }
      tape[MORE] = 1
    }
    onSettled(
      new NativePromise((resolve) => resolve(value)),
      (value) => settle(value, false),
      (error) => settle(error, true),
    )
  }

  /** After a crossing that was cut short: what the finished calls answered. */
  function finished(): string {
    answers.forget()
    return committed
  }

  function drain(): string {
    tape[MORE] = 0
    answers.begin()
    const queue = settled
    settled = []
    for (let i = 0; i < queue.length; i++) {
      if (answers.at > OUT_AT + OUT_INTS - 2048 || answers.text.length > CROSSING_TEXT) {
        settled[settled.length] = queue[i]!
        tape[MORE] = 1
        continue
      }
      const { call, use, value, failed } = queue[i]!
      if (failed) answers.fail(call, describe(value))
      else {
        try {
          answers.writeSettled(call, use, value)
        } catch (error) {
          answers.fail(call, describe(error))
        }
      }
      call.ended = true
    }
    for (const line of takeLines()) answers.log(line.level, line.text)
    tape[OUT] = answers.at - OUT_AT
    return answers.text
  }

  function define(wrapper: unknown): string {
    definition = checkDefinition((wrapper as (api: object) => unknown)(api))
    sees = definition.sees
    const told: Definition = {
      name: definition.name,
      permissions: definition.permissions,
      sees: definition.sees,
      match: definition.match,
      at: definition.at,
    }
    return stringify(told)
  }

  /** Returns the SetUp as JSON, `!` and a text if it failed, or `''` while that is open: `setUp(use, '', '')` asks again. */
  function setUp(use: number, options: string, restore: string): string {
    if (setups[use] !== undefined) return setups[use]
    setups[use] = ''
    const restored: unknown = restore === '' ? undefined : parse(restore)
    const host = { restore: () => restored }
    const start = async (): Promise<void> => {
      const hooks = await definition!.setup(await readOptions(definition!, parse(options)), host)
      setups[use] = stringify(install(use, checkHooks(hooks)))
    }
    onSettled(
      start(),
      () => undefined,
      (error) => {
        setups[use] = `!${describe(error)}`
      },
    )
    return ''
  }

  function install(use: number, hooks: Record<string, AnyHook>): SetUp {
    const { onRequest, onResponse, onReload } = hooks
    uses[use] = {
      onRequest: onRequest === undefined ? null : bound(onRequest, hooks),
      onResponse: onResponse === undefined ? null : bound(onResponse, hooks),
      onReload: onReload === undefined ? null : bound(onReload, hooks),
      index: use,
    }
    return {
      onRequest: onRequest !== undefined,
      onResponse: onResponse !== undefined,
      requestNeeds: onRequest === undefined ? 0 : needsOf(onRequest)[0],
      responseNeeds: onResponse === undefined ? 0 : needsOf(onResponse)[0],
      viewNeeds: onResponse === undefined ? 0 : needsOf(onResponse)[1],
      isAsync: isAsyncFunction(onRequest) || isAsyncFunction(onResponse),
      onReload: onReload !== undefined,
    }
  }

  function drop(use: number): void {
    uses[use] = null
    setups[use] = undefined
  }

  /** What the next version of this use gets from `host.restore()`, as JSON; `''` if there is nothing. */
  function reload(use: number): string {
    const value = uses[use]?.onReload?.()
    return value === undefined ? '' : (stringify(value) ?? '')
  }

  function tick(): void {
    runDueTimer((owner) => {
      tape[OWNER] = owner
    })
  }

  tape[TIMER] = -1
  return { define, setUp, drop, reload, run, finished, drain, tick }
}

function isAsyncFunction(hook: AnyHook | undefined): boolean {
  return hook !== undefined && matches(/^async\b/, functionText(hook))
}

function isThenable(value: object): boolean {
  return typeof (value as { then?: unknown }).then === 'function'
}
