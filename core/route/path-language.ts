/**
 * Compares path patterns by what they match: exactly, for a pattern is a small automaton. Where that would take long, or a regular
 * expression is involved, the answer is the careful one: not covered, and may overlap.
 */
import type { PathMatcher } from './pattern.ts'
import type { Token } from './pattern-parser.ts'

/** How much may still be looked at. Comparing takes from it, and gives up when nothing is left. */
export interface Effort {
  left: number
}

/** Whether everything that `narrow` matches is matched by `wide`, too. False also where that is not known. */
export function coversPath(wide: PathMatcher, narrow: PathMatcher, effort: Effort): boolean {
  const text = exactText(narrow)
  if (text !== null) return wide.test(text)
  if (matchesAll(wide)) return true
  const [a, b] = [wide.form, narrow.form]
  if (a instanceof RegExp || b instanceof RegExp) {
    return a instanceof RegExp && b instanceof RegExp && a.source === b.source && a.flags === b.flags
  }
  // What must stand at the start of one must stand at the start of the other; most pairs end here.
  return startOf(b).startsWith(startOf(a)) && includes(toSteps(a), toSteps(b), effort)
}

function startOf([first]: readonly Token[]): string {
  return first?.kind === 'text' ? first.text : ''
}

/** Whether some path is matched by both. True also where that is not known. */
export function overlapsPath(one: PathMatcher, other: PathMatcher, effort: Effort): boolean {
  const [text, otherText] = [exactText(one), exactText(other)]
  if (text !== null) return other.test(text)
  if (otherText !== null) return one.test(otherText)
  const [a, b] = [one.form, other.form]
  return a instanceof RegExp || b instanceof RegExp || intersects(toSteps(a), toSteps(b), effort)
}

export function matchesAll({ form }: PathMatcher): boolean {
  return !(form instanceof RegExp) && form.length === 1 && form[0]!.kind === 'below'
}

/** The only path it matches; null if there are several. */
export function exactText({ form }: PathMatcher): string | null {
  if (form instanceof RegExp || form.length !== 1) return null
  return form[0]!.kind === 'text' ? form[0]!.text : null
}

/** One step of the automaton: takes a character, or any number of them, of a class. */
interface Step {
  /** The code of one character, or a class. */
  readonly takes: number
  /** Takes as many as there are, or none. */
  readonly repeats: boolean
  /** The path may end before this step. */
  readonly mayEnd: boolean
}

const ANY = -1
const NOT_SLASH = -2
/** Stands for every character that no pattern names. */
const OTHER = -3
const SLASH = 47

function toSteps(tokens: readonly Token[]): readonly Step[] {
  const steps: Step[] = []
  const one = (takes: number, mayEnd = false): number => steps.push({ takes, repeats: false, mayEnd })
  const loop = (takes: number): number => steps.push({ takes, repeats: true, mayEnd: false })
  for (const token of tokens) {
    if (token.kind === 'text') for (let i = 0; i < token.text.length; i++) one(token.text.charCodeAt(i))
    else if (token.kind === 'param') {
      one(NOT_SLASH)
      loop(NOT_SLASH)
    } else {
      if (token.kind === 'some') one(ANY)
      // Nothing more, or a slash and whatever follows; a pattern that is nothing else takes every path.
      if (token.kind === 'below' && steps.length > 0) one(SLASH, true)
      loop(ANY)
    }
  }
  return steps
}

/** Pairs of places looked at before it is given up. */
const MOST_PAIRS = 5_000
/** Next to comparing two rules that differ at first sight. */
const COST_OF_PAIR = 8

/** Walks through `narrow`, and through `wide` in all ways at once: a place where only `narrow` may end is the counterexample. */
function includes(wide: readonly Step[], narrow: readonly Step[], effort: Effort): boolean {
  const waiting: (readonly [place: number, places: readonly number[]])[] = [[0, spread(wide, [0])]]
  const seen = new Set([`0 ${waiting[0]![1]}`])
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const [place, places] = next
    const own = spread(narrow, [place])
    if (own.some((at) => isEnd(narrow, at)) && !places.some((at) => isEnd(wide, at))) return false
    for (const char of charactersFrom([narrow, own], [wide, places])) {
      const after = spread(wide, advance(wide, places, char))
      for (const at of advance(narrow, own, char)) {
        const key = `${at} ${after}`
        if (seen.has(key)) continue
        effort.left -= COST_OF_PAIR + after.length
        if (seen.size >= MOST_PAIRS || effort.left <= 0) return false
        seen.add(key)
        waiting.push([at, after])
      }
    }
  }
  return true
}

function intersects(one: readonly Step[], other: readonly Step[], effort: Effort): boolean {
  const waiting: (readonly [number, number])[] = [[0, 0]]
  const seen = new Set<number>([0])
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const [a, b] = [spread(one, [next[0]]), spread(other, [next[1]])]
    if (a.some((at) => isEnd(one, at)) && b.some((at) => isEnd(other, at))) return true
    for (const char of charactersFrom([one, a], [other, b])) {
      for (const x of advance(one, a, char)) {
        for (const y of advance(other, b, char)) {
          const key = x * (other.length + 1) + y
          if (seen.has(key)) continue
          effort.left -= COST_OF_PAIR
          if (seen.size >= MOST_PAIRS || effort.left <= 0) return true
          seen.add(key)
          waiting.push([x, y])
        }
      }
    }
  }
  return false
}

/** Places, and those behind steps that may take nothing, ascending. */
function spread(steps: readonly Step[], places: readonly number[]): readonly number[] {
  const all = new Set(places)
  for (const at of all) if (steps[at]?.repeats) all.add(at + 1)
  return [...all].sort((a, b) => a - b)
}

function isEnd(steps: readonly Step[], at: number): boolean {
  return at === steps.length || steps[at]!.mayEnd
}

/** Characters that lead on from here in different ways. */
function charactersFrom(...from: (readonly [steps: readonly Step[], places: readonly number[]])[]): Set<number> {
  const found = new Set<number>([OTHER, SLASH])
  for (const [steps, places] of from) for (const at of places) if ((steps[at]?.takes ?? ANY) >= 0) found.add(steps[at]!.takes)
  return found
}

function advance(steps: readonly Step[], places: readonly number[], char: number): number[] {
  const after: number[] = []
  for (const at of places) {
    const step = steps[at]
    if (step === undefined) continue
    const isTaken = step.takes === char || step.takes === ANY || (step.takes === NOT_SLASH && char !== SLASH)
    if (isTaken) after.push(step.repeats ? at : at + 1)
  }
  return after
}
