/** The way back from an instrumented bundle (instrument.ts) to the one that was written: places, and texts of functions. */
import type { Instrumented } from './instrument.ts'

type AnyFunction = (...args: never[]) => unknown

export class Original {
  readonly #code: string
  readonly #instrumented: Instrumented
  /** Offsets in the instrumented code at which something was put in, and how much was put in before. */
  readonly #putAt: Float64Array
  readonly #putBefore: Float64Array
  readonly #lines: readonly number[]
  readonly #instrumentedLines: readonly number[]
  /** Where `__at(id,` stands in the instrumented code. */
  #markers: readonly number[] | null = null

  constructor(code: string, instrumented: Instrumented) {
    this.#code = code
    this.#instrumented = instrumented
    const { insertions } = instrumented
    this.#putAt = new Float64Array(insertions.length)
    this.#putBefore = new Float64Array(insertions.length + 1)
    for (const [i, [at, length]] of insertions.entries()) {
      this.#putAt[i] = at + this.#putBefore[i]!
      this.#putBefore[i + 1] = this.#putBefore[i]! + length
    }
    this.#lines = lineStarts(code)
    this.#instrumentedLines = lineStarts(instrumented.code)
  }

  /** 1-based, of an offset in the original code. */
  lineAndColumn(offset: number): readonly [line: number, column: number] {
    const line = lastAtMost(this.#lines, offset)
    return [line + 1, offset - this.#lines[line]! + 1]
  }

  /** From a place in the instrumented code to the same place in the original. */
  place(line: number, column: number): readonly [line: number, column: number] {
    const start = this.#instrumentedLines[line - 1]
    return start === undefined ? [line, column] : this.lineAndColumn(this.#offset(start + column - 1))
  }

  /** The source of a function as it was before its text was changed. */
  textOf(value: AnyFunction): string {
    const text = String(value)
    const marker = /__at\((\d+),/.exec(text)
    if (marker === null) return text
    this.#markers ??= markersIn(this.#instrumented.code)
    const start = (this.#markers[Number(marker[1])] ?? Number.NaN) - marker.index
    if (!this.#instrumented.code.startsWith(text, start)) return text
    return this.#code.slice(this.#offset(start), this.#offset(start + text.length))
  }

  /** Of the original code. */
  #offset(instrumentedOffset: number): number {
    const i = lastAtMost(this.#putAt, instrumentedOffset - 1)
    if (i < 0) return instrumentedOffset
    const at = this.#putAt[i]! - this.#putBefore[i]!
    // Within what was put in, there is only the place where that was done.
    return Math.max(at, instrumentedOffset - this.#putBefore[i + 1]!)
  }
}

/** In the order of their ids; text of the user that looks the same is not in that order. */
function markersIn(code: string): number[] {
  const markers: number[] = []
  for (const { index, 1: id } of code.matchAll(/__at\((\d+),/g)) if (Number(id) === markers.length) markers.push(index)
  return markers
}

function lineStarts(code: string): number[] {
  const starts = [0]
  for (let at = code.indexOf('\n'); at >= 0; at = code.indexOf('\n', at + 1)) starts.push(at + 1)
  return starts
}

/** Index of the last of these ordered numbers that is not above the limit; -1 if all are. */
function lastAtMost(numbers: ArrayLike<number>, limit: number): number {
  let low = -1
  let high = numbers.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (numbers[middle]! <= limit) low = middle
    else high = middle - 1
  }
  return low
}
