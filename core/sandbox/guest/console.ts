/** `console` of the sandbox: lines are kept until the host fetches them; what is too much is dropped and counted. */

import type { LEVELS } from '../wire.ts'
import { MORE } from '../wire.ts'
import { show } from './describe.ts'
import { NativeError, slice } from './primordials.ts'

export interface Line {
  readonly level: (typeof LEVELS)[number]
  readonly text: string
  /** The stack of the call: where it was printed. */
  readonly at: string
}

const MOST_LINES = 100
let lines: Line[] = []
let dropped = 0

export function createConsole(tape: Int32Array): Record<string, (...values: unknown[]) => void> {
  const at =
    (level: Line['level']) =>
    (...values: unknown[]): void => {
      if (lines.length === MOST_LINES) {
        dropped++
        return
      }
      let text = ''
      for (let i = 0; i < values.length; i++) text += i === 0 ? show(values[i]) : ` ${show(values[i])}`
      const { stack }: { stack?: unknown } = new NativeError()
      lines[lines.length] = { level, text: slice(text, 0, 8192), at: typeof stack === 'string' ? slice(stack, 0, 1000) : '' }
      tape[MORE] = 1
    }
  return { debug: at('debug'), log: at('info'), info: at('info'), warn: at('warn'), error: at('error') }
}

export function hasLines(): boolean {
  return lines.length > 0 || dropped > 0
}

export function takeLines(): readonly Line[] {
  if (dropped > 0) lines[lines.length] = { level: 'warn', text: `${dropped} more lines were dropped`, at: '' }
  const taken = lines
  lines = []
  dropped = 0
  return taken
}
