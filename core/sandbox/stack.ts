/** Turns stacks of the bundled script into stacks of the plugin's own files, by its source map. Decoded at the first failure only. */
import { dirname, resolve } from 'node:path'
import type { PluginSource } from './source.ts'

export interface Place {
  readonly file: string
  /** 1-based; 0 if it is not known. */
  readonly line: number
  readonly column: number
}

/** A guest's runtime tells less; one that was taken over could make each of its texts a million lines. */
const LONGEST = 16_384

export class StackMap {
  readonly #source: PluginSource
  #sources: readonly string[] = []
  /** A list a generated line: generated column, source, line, column, and again. */
  #lines: readonly (readonly number[])[] | null = null

  constructor(source: PluginSource) {
    this.#source = source
  }

  /** The stack with its frames mapped, those of the sandbox and of the proxy itself left out. */
  readable(stack: string): string {
    const out: string[] = []
    for (const line of linesOf(stack)) {
      // What is below a crossing of a realm is the host's.
      if (/^\s*at .*sluice:crossing/.test(line)) break
      if (/^\s*at .*(sluice:sandbox|<isolated-vm|\(?(file|node):)/.test(line)) continue
      const frame = this.#frame(line)
      if (frame === null) out.push(line)
      else {
        const { file, line: row, column } = frame.place
        out.push(`${line.slice(0, frame.index)}${file}:${row}:${column}${line.slice(frame.end)}`)
      }
    }
    return out.join('\n')
  }

  /** The first frame that is the plugin's; its entry if there is none. */
  place(stack: string): Place {
    for (const line of linesOf(stack)) {
      const frame = this.#frame(line)
      if (frame !== null) return frame.place
    }
    return { file: this.#source.file, line: 0, column: 0 }
  }

  /** Where in its own files; both 1-based, in the bundle and in the answer. */
  locate(line: number, column: number): Place | null {
    return this.#lookUp(line, column)
  }

  #frame(line: string): { place: Place; index: number; end: number } | null {
    const index = line.indexOf(`${this.#source.file}:`)
    if (index < 0 || !/^\s*at /.test(line)) return null
    const found = /^(\d+):(\d+)/.exec(line.slice(index + this.#source.file.length + 1))
    if (found === null) return null
    const place = this.#lookUp(Number(found[1]), Number(found[2]))
    return place === null ? null : { place, index, end: index + this.#source.file.length + 1 + found[0].length }
  }

  #lookUp(line: number, column: number): Place | null {
    this.#lines ??= this.#decode()
    const segments = this.#lines[line - 1]
    if (segments === undefined) return null
    let best = -1
    for (let i = 0; i < segments.length && segments[i]! < column; i += 4) best = i
    if (best < 0) return null
    const source = this.#sources[segments[best + 1]!]
    if (source === undefined) return null
    return { file: resolve(dirname(this.#source.file), source), line: segments[best + 2]! + 1, column: segments[best + 3]! + 1 }
  }

  #decode(): readonly (readonly number[])[] {
    const map = JSON.parse(this.#source.map) as { sources: string[]; mappings: string }
    this.#sources = map.sources
    const state = [0, 0, 0, 0]
    return map.mappings.split(';').map((line) => {
      const segments: number[] = []
      state[0] = 0
      for (const segment of line === '' ? [] : line.split(',')) {
        const fields = decodeVlq(segment)
        for (let i = 0; i < 4; i++) state[i] = state[i]! + (fields[i] ?? 0)
        if (fields.length >= 4) segments.push(state[0]!, state[1]!, state[2]!, state[3]!)
      }
      return segments
    })
  }
}

function linesOf(stack: string): string[] {
  return stack.slice(0, LONGEST).split('\n')
}

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

/** Base64 VLQ (ECMA-426 §5.2). */
function decodeVlq(text: string): number[] {
  const out: number[] = []
  let value = 0
  let shift = 0
  for (const char of text) {
    const digit = DIGITS.indexOf(char)
    value += (digit & 31) << shift
    shift += 5
    if ((digit & 32) !== 0) continue
    out.push((value & 1) === 1 ? -(value >> 1) : value >> 1)
    value = 0
    shift = 0
  }
  return out
}
