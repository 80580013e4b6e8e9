/**
 * What the guest wishes done outside of the wall: a wish leaves with the answers of a crossing, and its promise is settled in a later
 * one. Only text crosses, both ways.
 */
import { MAX_ASK_TEXT, MAX_ASKS_WAITING, MORE, OWNER } from '../wire.ts'
import { Failure, NativePromise, parse, stringify } from './primordials.ts'

export interface Ask {
  readonly id: number
  readonly method: string
  readonly args: string
}

interface Waiting {
  readonly owner: number
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
}

/** By id, without a prototype: no plugin has a hand in how it is looked up. */
const waiting: Record<number, Waiting | undefined> = Object.create(null)
let waitingCount = 0
let queue: Ask[] = []
let lastId = 0
let shared: Int32Array | null = null

export function useTape(tape: Int32Array): void {
  shared = tape
}

/** Resolves with what the host made of it, or rejects with why it did not. `args`: what JSON can write. */
export function ask(method: string, args: unknown): Promise<unknown> {
  return new NativePromise((resolve, reject) => {
    const tape = shared!
    const text = stringify(args) ?? 'null'
    if (text.length > MAX_ASK_TEXT) throw new Failure(`${method}: more than ${MAX_ASK_TEXT / 2 ** 20} MiB cannot leave the sandbox at once`)
    if (waitingCount >= MAX_ASKS_WAITING) throw new Failure(`${method}: more than ${MAX_ASKS_WAITING} wait for an answer already`)
    const id = ++lastId
    waiting[id] = { owner: tape[OWNER]!, resolve, reject }
    waitingCount++
    queue[queue.length] = { id, method, args: text }
    tape[MORE] = 1
  })
}

/** What was wished since the last time. */
export function takeAsks(): readonly Ask[] {
  const taken = queue
  queue = []
  return taken
}

export function putBack(asks: readonly Ask[], from: number): void {
  const before = queue
  queue = []
  for (let i = from; i < asks.length; i++) queue[queue.length] = asks[i]!
  for (let i = 0; i < before.length; i++) queue[queue.length] = before[i]!
}

/** Settles one. What runs then runs on behalf of the call that wished. */
export function settleAsk(id: number, isDone: boolean, text: string): void {
  const found = waiting[id]
  if (found === undefined) return
  delete waiting[id]
  waitingCount--
  shared![OWNER] = found.owner
  if (isDone) found.resolve(parse(text))
  else found.reject(new Failure(text))
}
