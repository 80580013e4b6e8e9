/** What is wrong with a config, with its place, and how it is shown: all problems at once, each with a code frame. */
import { relative } from 'node:path'

export interface Place {
  readonly file: string
  /** 1-based. */
  readonly line: number
  /** 1-based. */
  readonly column: number
  /** The lines around it, from `firstLine` on. */
  readonly source: readonly string[]
  readonly firstLine: number
  /** Where the mark stands in `source`, if something before it is left out or shown shorter than it is. */
  readonly shownColumn?: number
}

export interface Problem {
  readonly severity: 'error' | 'warning'
  /** `listeners.web.routes[2].path`; null for what is not a value: syntax, an import. */
  readonly path: string | null
  readonly message: string
  readonly place: Place | null
}

/** Carries the problems of a config that could not be taken. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly problems: readonly Problem[]
  constructor(problems: readonly Problem[]) {
    super(formatProblems(problems, { color: false }))
    this.problems = problems
  }
}

export function errorProblem(message: string, place: Place | null = null, path: string | null = null): Problem {
  return { severity: 'error', path, message, place }
}

/** Of a line that is shown: what is longer is cut around the mark, or the terminal would fold it and the mark would point nowhere. */
const LONGEST_LINE = 160
const LINES_BEFORE = 2
const LINES_AFTER = 1

/** On each side of the mark, so much of a line is kept: a thousand mistakes in one line are not to be a thousand copies of it. */
const KEPT_OF_LINE = 4_096

/** A place in a text that is at hand, or in its lines. */
export function placeIn(text: string | readonly string[], file: string, line: number, column: number): Place {
  const lines = typeof text === 'string' ? text.split('\n') : text
  const first = Math.max(1, line - LINES_BEFORE)
  // What follows the last line break is no line.
  const count = lines.at(-1) === '' && line < lines.length ? lines.length - 1 : lines.length
  const from = Math.max(0, column - 1 - KEPT_OF_LINE)
  const source = lines
    .slice(first - 1, Math.min(count, line + LINES_AFTER))
    .map((one) => one.slice(from, column + KEPT_OF_LINE).replace(/\r$/, ''))
  return { file, line, column, firstLine: first, source, ...(from > 0 ? { shownColumn: column - from } : {}) }
}

/** A file's name inside a message: from where the command was given, as in the line above it; or from the config's folder. */
export function shownFile(file: string, folder: string, cwd: string = process.cwd()): string {
  return file.startsWith(`${cwd}/`) ? file.slice(cwd.length + 1) : relative(folder, file)
}

/** For what concerns no line of it. */
export function wholeFile(file: string): Place {
  return { file, line: 0, column: 0, source: [], firstLine: 1 }
}

/** In the order in which one would read them: the file `first`, then others; what has no line before what has one. */
export function byPlace(problems: readonly Problem[], first: string): Problem[] {
  const fileOf = ({ place }: Problem): string => (place === null || place.file === first ? '' : place.file)
  return problems.toSorted(
    (a, b) =>
      (fileOf(a) < fileOf(b) ? -1 : fileOf(a) > fileOf(b) ? 1 : 0) ||
      (a.place?.line ?? 0) - (b.place?.line ?? 0) ||
      (a.place?.column ?? 0) - (b.place?.column ?? 0),
  )
}

export interface FormatOptions {
  readonly color: boolean
  /** File names are shown relative to this folder if they are below it. */
  readonly folder?: string
}

/** Text for a terminal; ends without a line break. */
export function formatProblems(problems: readonly Problem[], options: FormatOptions): string {
  return problems.map((problem) => formatProblem(problem, options)).join('\n\n')
}

function formatProblem({ severity, path, message, place }: Problem, { color, folder }: FormatOptions): string {
  const paint = (code: number, text: string): string => (color ? `\x1b[${code}m${text}\x1b[0m` : text)
  const label = severity === 'error' ? paint(31, 'error') : paint(33, 'warning')
  const head = `${label}: ${paint(1, clean(path === null ? message : `${path}: ${message}`))}`
  if (place === null) return head
  const file = folder !== undefined && place.file.startsWith(`${folder}/`) ? place.file.slice(folder.length + 1) : place.file
  const where = place.line > 0 ? `${file}:${place.line}:${place.column}` : file
  return [`${paint(36, where)}: ${head}`, ...frameOf(place, paint)].join('\n')
}

/** Plain text. */
export function formatFrame(place: Place): string {
  return frameOf(place, (_code, text) => text).join('\n')
}

/** The lines around a place, the one it is about marked. */
function frameOf({ line, column, source, firstLine, shownColumn }: Place, paint: (code: number, text: string) => string): string[] {
  const width = String(firstLine + source.length - 1).length
  const marked = (shownColumn ?? column) - 1
  const from = marked > LONGEST_LINE / 2 && (source[line - firstLine]?.length ?? 0) > LONGEST_LINE ? marked - LONGEST_LINE / 2 : 0
  return source.flatMap((text, i) => {
    const number = firstLine + i
    const row = `${number === line ? paint(31, '>') : ' '} ${paint(90, `${String(number).padStart(width)} |`)} ${clean(cut(text, from))}`
    if (number !== line) return [row]
    // A tab is as wide in the line of the mark as in the line above it.
    const indent = cut(text, from)
      .slice(0, marked - from)
      .replace(/[^\t]/g, ' ')
    return [row, `  ${paint(90, `${' '.repeat(width)} |`)} ${indent}${paint(31, '^')}`]
  })
}

function cut(text: string, from: number): string {
  const end = text.length > from + LONGEST_LINE ? '…' : ''
  const shown = text.slice(from, from + LONGEST_LINE - end.length)
  return (from > 0 ? `…${shown.slice(1)}` : shown) + end
}

/** A config's text, or a value in it, may not steer the terminal. */
function clean(text: string): string {
  return text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`)
}
