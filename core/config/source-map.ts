/** From a place in a bundle back to the file that the user wrote. */
import { SourceMap, type SourceMapPayload } from 'node:module'
import { dirname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Place, placeIn } from './problems.ts'

export interface MappedCode {
  /** The config's file; sources are relative to its folder. */
  readonly file: string
  /** JSON. */
  readonly map: string
}

/** The name under which a bundle's function is compiled: what stack traces say, and what a dynamic import is relative to. */
export function bundleUrl(file: string): string {
  return `${pathToFileURL(file).href}?bundle`
}

type Adjust = (line: number, column: number) => readonly [line: number, column: number]

export class Locator {
  readonly #file: string
  readonly #payload: SourceMapPayload
  readonly #map: SourceMap
  readonly #frame: RegExp
  readonly #adjust: Adjust
  /** Of each source that a place was asked of. */
  readonly #lines = new Map<number, readonly string[]>()

  /** `adjust`: from a place in a stack trace to the one that the map knows. */
  constructor({ file, map }: MappedCode, adjust: Adjust = (line, column) => [line, column]) {
    this.#adjust = adjust
    this.#file = file
    this.#payload = JSON.parse(map)
    this.#map = new SourceMap(this.#payload)
    this.#frame = new RegExp(`${RegExp.escape(bundleUrl(file))}:(\\d+):(\\d+)`)
  }

  /** `line` and `column` 1-based, in the bundle. */
  locate(line: number, column: number): Place | null {
    const entry = this.#map.findEntry(line - 1, column - 1)
    if (!('originalSource' in entry)) return null
    const index = this.#payload.sources.indexOf(entry.originalSource)
    const file = resolve(dirname(this.#file), entry.originalSource)
    return placeIn(this.#linesOf(index), file, entry.originalLine + 1, entry.originalColumn + 1)
  }

  #linesOf(index: number): readonly string[] {
    let lines = this.#lines.get(index)
    if (lines === undefined) {
      lines = (this.#payload.sourcesContent?.[index] ?? '').split('\n')
      this.#lines.set(index, lines)
    }
    return lines
  }

  /** Where a module is imported: bundling has taken the import away, so it is looked for in the sources. */
  locateImport(name: string): Place | null {
    const quoted = new RegExp(`\\b(?:from|import|require\\()\\s*(?:type\\s*)?(["'])${RegExp.escape(name)}\\1`)
    for (const [i, text] of (this.#payload.sourcesContent ?? []).entries()) {
      const match = quoted.exec(text)
      if (match === null) continue
      const before = text.slice(0, match.index + match[0].length - name.length - 2).split('\n')
      return placeIn(text, resolve(dirname(this.#file), this.#payload.sources[i]!), before.length, before.at(-1)!.length + 1)
    }
    return null
  }

  /** The innermost frame of a stack trace that lies in the bundle. */
  locateError(error: unknown): Place | null {
    const stack = error instanceof Error ? String(error.stack) : ''
    const [, line, column] = this.#frame.exec(stack) ?? []
    return line === undefined ? null : this.locate(...this.#adjust(Number(line), Number(column)))
  }

  /** A stack trace with the user's files in it. */
  mapStack(stack: string): string {
    return stack.replace(new RegExp(this.#frame, 'g'), (frame, line: string, column: string) => {
      const place = this.locate(...this.#adjust(Number(line), Number(column)))
      return place === null ? frame : `${place.file}:${place.line}:${place.column}`
    })
  }
}
