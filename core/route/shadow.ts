/**
 * Which rules of an ordered list can never match: because the ones before take everything they would, or because what they ask for
 * contradicts itself. Never says so of a rule that some request reaches; what it cannot decide cheaply it lets pass.
 */
import { type Atom, type Claim, type ClaimField, claimOf, covers } from './claim.ts'
import type { Conditions } from './conditions.ts'
import { CoverIndex } from './cover-index.ts'
import type { Effort } from './path-language.ts'

export interface Unreachable {
  /** Its place in the list. */
  readonly rule: number
  /** The earlier ones that share out all it would take, ascending; empty if it contradicts itself. */
  readonly by: readonly number[]
  /** The field in which a rule contradicts itself, or the groups around it. */
  readonly impossible: ClaimField | null
}

/** Combinations of host, path and method of one rule that are looked at. */
const MOST_ATOMS = 4_096
/** Comparisons in all: enough for tens of thousands of rules that differ in host or path. */
const MOST_EFFORT = 2_000_000
/** Afterwards, for each rule. */
const LEAST_EFFORT = 32

/** `rules`: each a list of conditions that must all hold, the outermost group's first. */
export function findUnreachable(rules: readonly (readonly Conditions[])[]): Unreachable[] {
  const index = new CoverIndex()
  const found: Unreachable[] = []
  const effort = { left: MOST_EFFORT }
  for (const [rule, levels] of rules.entries()) {
    effort.left = Math.max(effort.left, LEAST_EFFORT)
    const claim = claimOf(levels, effort)
    if (claim.impossible !== null) {
      found.push({ rule, by: [], impossible: claim.impossible })
      continue
    }
    const by = new Search(index, claim, effort).run()
    if (by !== null) found.push({ rule, by, impossible: null })
    if (!claim.hasWhen) index.add(rule, claim)
  }
  return found
}

class Search {
  readonly #index: CoverIndex
  readonly #claim: Claim
  readonly #effort: Effort

  constructor(index: CoverIndex, claim: Claim, effort: Effort) {
    this.#index = index
    this.#claim = claim
    this.#effort = effort
  }

  /** The rules that cover all atoms between them, or null. */
  run(): readonly number[] | null {
    const { hosts, paths, methods } = this.#claim
    const lists = [hosts ?? [null], paths.at(-1) ?? [null], methods ?? [null]] as const
    if (lists[0].length * lists[1].length * lists[2].length > MOST_ATOMS) return null
    const by = new Set<number>()
    for (const host of lists[0]) {
      for (const path of lists[1]) {
        for (const method of lists[2]) {
          const earliest = this.#earliest({ host, path, method })
          if (earliest === null) return null
          by.add(earliest)
        }
      }
    }
    return [...by].sort((a, b) => a - b)
  }

  #earliest(atom: Atom): number | null {
    let earliest: number | null = null
    for (const list of this.#index.candidates(atom, this.#claim.paths)) {
      for (const { rule, claim } of list) {
        if (earliest !== null && rule >= earliest) break
        if (--this.#effort.left < 0) return null
        if (covers(claim, this.#claim, atom, this.#effort)) {
          earliest = rule
          break
        }
      }
    }
    return earliest
  }
}
