/** Finds by path which rules of one host may match: a tree of segments whose leaves hold rules in written order. Pure. */
import { LedLists } from './led-lists.ts'
import type { PathMatcher, Shape } from './pattern.ts'

/** A rule under one of its paths. */
export interface Entry<Rule> {
  readonly ordinal: number
  readonly rule: Rule
  /** Null: every path. */
  readonly path: PathMatcher | null
  /** Whether standing where it stands says already that the path matches. */
  readonly isTested: boolean
}

/** Up to so many entries a list is faster than a tree. */
const FEW = 8

export class PathIndex<Rule> {
  /** All of them, when they are few. */
  readonly #list: readonly Entry<Rule>[] | null
  readonly #root = new TreeNode<Rule>()

  /** Entries in written order. */
  constructor(entries: readonly Entry<Rule>[]) {
    this.#list = entries.length <= FEW ? entries : null
    if (this.#list === null) for (const entry of entries) this.#insert(entry)
  }

  /** Adds the lists, each in written order, in which every rule stands that may match. */
  collect(path: string, lists: (readonly Entry<Rule>[])[]): void {
    if (this.#list === null) walk(this.#root, path, path.startsWith('/') ? 1 : Number.POSITIVE_INFINITY, lists)
    else if (this.#list.length > 0) lists.push(this.#list)
  }

  #insert(entry: Entry<Rule>): void {
    const shape: Shape = entry.path?.shape ?? { segments: [], end: 'prefix', lead: '' }
    let place = this.#root
    for (const segment of shape.segments) place = place.child(segment)
    if (shape.end === 'exact') place.exact.push({ ...entry, isTested: true })
    else if (shape.lead !== '') place.lead(shape.lead, entry)
    else place.prefix.push(shape.end === 'prefix' ? { ...entry, isTested: true } : entry)
  }
}

class TreeNode<Rule> {
  /** The path ends here. */
  readonly exact: Entry<Rule>[] = []
  /** The path ends here or goes on. */
  readonly prefix: Entry<Rule>[] = []
  /** The next segment begins with a text; how it goes on is not known. */
  led: LedLists<Entry<Rule>> | null = null
  children: Map<string, TreeNode<Rule>> | null = null
  param: TreeNode<Rule> | null = null

  lead(text: string, entry: Entry<Rule>): void {
    this.led ??= new LedLists()
    this.led.add(text, entry)
  }

  child(segment: string | null): TreeNode<Rule> {
    if (segment === null) {
      this.param ??= new TreeNode()
      return this.param
    }
    this.children ??= new Map()
    let child = this.children.get(segment)
    if (child === undefined) {
      child = new TreeNode()
      this.children.set(segment, child)
    }
    return child
  }
}

/** `at`: where the next segment begins; past the end of the path if there is none. */
function walk<Rule>(place: TreeNode<Rule>, path: string, at: number, lists: (readonly Entry<Rule>[])[]): void {
  if (place.prefix.length > 0) lists.push(place.prefix)
  if (at > path.length) {
    if (at !== Number.POSITIVE_INFINITY && place.exact.length > 0) lists.push(place.exact)
    return
  }
  if (place.led !== null) place.led.collect(path, at, lists)
  if (place.children === null && place.param === null) return
  const slash = path.indexOf('/', at)
  const end = slash < 0 ? path.length : slash
  const child = place.children?.get(path.slice(at, end))
  if (child !== undefined) walk(child, path, end + 1, lists)
  if (place.param !== null && end > at) walk(place.param, path, end + 1, lists)
}
