/** Finds the rules that may cover another one, by host and by the beginning of the path: what cannot is not compared. Pure. */
import type { Atom, Claim } from './claim.ts'
import { LedLists } from './led-lists.ts'
import { exactText } from './path-language.ts'
import type { PathMatcher, Shape } from './pattern.ts'

export interface Candidate {
  readonly rule: number
  readonly claim: Claim
}

type Paths = Claim['paths']

export class CoverIndex {
  readonly #anyHost = new Place()
  /** By `example.com`, `*.example.com`. */
  readonly #byHost = new Map<string, Place>()

  /** In ascending order of rules. */
  add(rule: number, claim: Claim): void {
    const candidate = { rule, claim }
    for (const host of claim.hosts ?? [null]) {
      const root = host === null ? this.#anyHost : this.#place(host)
      for (const path of claim.paths.at(-1) ?? [null]) root.insert(candidate, path)
    }
  }

  /** Lists, each ascending, in which every rule stands that covers the atom. `paths`: of the rule it belongs to. */
  *candidates({ host, path }: Atom, paths: Paths): Generator<readonly Candidate[]> {
    // What covers a group's path covers what is inside.
    const outer = paths.slice(0, -1).flat()
    for (const root of this.#roots(host)) for (const one of [path, ...outer]) yield* root.walk(one)
  }

  *#roots(host: string | null): Generator<Place> {
    yield this.#anyHost
    if (host === null) return
    const same = this.#byHost.get(host)
    if (same !== undefined) yield same
    for (let dot = host.indexOf('.', host.startsWith('*.') ? 2 : 1); dot > 0; dot = host.indexOf('.', dot + 1)) {
      const wider = this.#byHost.get(`*${host.slice(dot)}`)
      if (wider !== undefined) yield wider
    }
  }

  #place(host: string): Place {
    let place = this.#byHost.get(host)
    if (place === undefined) {
      place = new Place()
      this.#byHost.set(host, place)
    }
    return place
  }
}

/** A place in the tree of segments, as in path-index.ts; but what is looked for here is a pattern. */
class Place {
  readonly #exact: Candidate[] = []
  readonly #prefix: Candidate[] = []
  readonly #led = new LedLists<Candidate>()
  readonly #children = new Map<string | null, Place>()
  /** By their text: one covers its equals, and single paths. */
  readonly #regexps = new Map<string, Candidate[]>()

  insert(candidate: Candidate, path: PathMatcher | null): void {
    if (path?.form instanceof RegExp) return this.#insertRegExp(candidate, String(path.form))
    let place: Place = this
    for (const segment of path?.shape.segments ?? []) {
      let child = place.#children.get(segment)
      if (child === undefined) {
        child = new Place()
        place.#children.set(segment, child)
      }
      place = child
    }
    const shape = path?.shape
    if (shape !== undefined && shape.lead !== '') place.#led.add(shape.lead, candidate)
    else if (shape?.end === 'exact') place.#exact.push(candidate)
    else place.#prefix.push(candidate)
  }

  *walk(path: PathMatcher | null): Generator<readonly Candidate[]> {
    if (path === null) yield this.#prefix
    else if (path.form instanceof RegExp) {
      yield this.#prefix
      yield this.#regexps.get(String(path.form)) ?? []
    } else {
      yield* this.#walkTree(path.shape, 0)
      if (exactText(path) !== null) yield* this.#regexps.values()
    }
  }

  #insertRegExp(candidate: Candidate, text: string): void {
    const list = this.#regexps.get(text)
    if (list === undefined) this.#regexps.set(text, [candidate])
    else list.push(candidate)
  }

  /** A param is covered by a param, text by the same text or by a param. */
  *#walkTree(shape: Shape, at: number): Generator<readonly Candidate[]> {
    if (this.#prefix.length > 0) yield this.#prefix
    const param = this.#children.get(null)
    const led: (readonly Candidate[])[] = []
    this.#led.collect(shape.segments[at] ?? shape.lead, 0, led)
    yield* led
    if (at === shape.segments.length) {
      if (shape.end === 'exact' && this.#exact.length > 0) yield this.#exact
      if (shape.end === 'open' && param !== undefined) yield* param.#all()
      return
    }
    const segment = shape.segments[at] ?? null
    const same = this.#children.get(segment)
    if (same !== undefined) yield* same.#walkTree(shape, at + 1)
    if (segment !== null && param !== undefined) yield* param.#walkTree(shape, at + 1)
  }

  *#all(): Generator<readonly Candidate[]> {
    yield this.#exact
    yield this.#prefix
    yield* this.#led.all()
    for (const child of this.#children.values()) yield* child.#all()
  }
}
