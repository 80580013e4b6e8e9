/** Where an executor runs a plugin: an isolate of its own, or, for the time of a profile, a realm of the process. What both must be. */
import type { PluginSource } from '../source.ts'
import { PIECE } from '../wire.ts'

/** How a crossing ended: it returned; it was cut short by its time limit; the room is gone; the guest's runtime itself threw. */
export type Ending = 'returned' | 'timeout' | 'memory' | 'broken'

/** One plugin and the sandbox's runtime, entered synchronously only. Strings and numbers cross. */
export interface Room {
  /** What the last crossing returned, or why it failed; and how it ended. */
  output: string
  ending: Ending
  readonly isDisposed: boolean
  /** Evaluates the plugin and returns its Definition as JSON, in `output`. */
  define(source: PluginSource, timeoutMs: number): Ending
  setUp(use: number, options: string, restore: string, timeoutMs: number): Ending
  drop(use: number, timeoutMs: number): Ending
  reload(use: number, begins: boolean, timeoutMs: number): Ending
  finished(timeoutMs: number): Ending
  drain(timeoutMs: number): Ending
  tick(timeoutMs: number): Ending
  /** What the guest takes for the time is so much later than the machine's. */
  clock(shiftMs: number, timeoutMs: number): Ending
  granted(id: number, isDone: boolean, text: string, timeoutMs: number): Ending
  attach(bytes: SharedArrayBuffer, outAt: number): Ending
  run(from: number, to: number, at: number, text: string, timeoutMs: number): Ending
  dispose(): void
}

export interface Rooms {
  /** Memory that a room may be given. */
  share(bytes: number): SharedArrayBuffer
  /** Throws if it cannot be made. */
  open(source: PluginSource, memory: SharedArrayBuffer, memoryMb: number): Room
}

/** What is called of the guest's runtime, beside `run`. */
export const ENTRIES = ['define', 'setUp', 'drop', 'reload', 'finished', 'drain', 'tick', 'clock', 'granted', 'attach'] as const

/** A line is put before the plugin's code: it is compiled with a line offset of -1. */
export function wrapped({ code }: PluginSource): string {
  return `(function (__sluice) {\n${code}\nreturn __plugin?.default })`
}

export function pieces(text: string): string[] {
  const list: string[] = []
  for (let i = 0; i < text.length; i += PIECE) list.push(text.slice(i, i + PIECE))
  return list
}
