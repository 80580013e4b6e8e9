/** Finds where in the sources a value of a config was written: the other end of instrument.ts, in the process that evaluates. */
import type { Instrumented, Literal } from './instrument.ts'
import { ownMember } from './report.ts'

/** A step into a value; `{ hidden }` is one that the user did not write: the `options` that a helper wraps. */
export type Step = string | number | { readonly hidden: string }
export type Path = readonly Step[]

interface Origin {
  readonly literal: Literal
  /** What its spreads spread, in order. */
  readonly spread: readonly unknown[]
}

export class Positions {
  readonly #literals: readonly Literal[]
  readonly #origins = new WeakMap<object, Origin>()
  readonly #spread: unknown[] = []

  constructor({ literals }: Pick<Instrumented, 'literals'>) {
    this.#literals = literals
  }

  /** All that upstream(…) returned, whether the config holds it or not, and where it was called. */
  readonly upstreams: { readonly value: object; readonly at: number }[] = []

  /** What the instrumented code calls. */
  readonly extras = {
    __at: (id: number, spreads: number, value: unknown): unknown => {
      const spread = spreads === 0 ? [] : this.#spread.splice(-spreads)
      if (typeof value === 'object' && value !== null && !this.#origins.has(value)) {
        const literal = this.#literals[id]!
        this.#origins.set(value, { literal, spread })
        if (literal.kind === 'call' && literal.helper === 'upstream') this.upstreams.push({ value, at: literal.at })
      }
      return value
    },
    __from: (value: unknown): unknown => {
      this.#spread.push(value)
      return value
    },
  }

  /** Offset of the value at the end of a path, or of its key; of the nearest thing around it that has a place; null if none has. */
  find(root: unknown, path: Path, what: 'key' | 'value'): number | null {
    const values = valuesAlong(root, path)
    if (what === 'value') {
      const own = this.#origin(values.at(-1))
      if (own !== undefined) return own.literal.at
    }
    for (let i = path.length - 1; i >= 0; i--) {
      const isLast = i === path.length - 1
      const found = this.#member(values[i], keyOf(path[i]!), isLast ? what : 'value') ?? this.#origin(values[i])?.literal.at
      if (found !== undefined) return found
    }
    return this.#origin(root)?.literal.at ?? null
  }

  #origin(value: unknown): Origin | undefined {
    return typeof value === 'object' && value !== null ? this.#origins.get(value) : undefined
  }

  /** Where a member of an object or array was written, also when it came by a spread. */
  #member(container: unknown, key: string | number, what: 'key' | 'value'): number | undefined {
    const origin = this.#origin(container)
    if (origin === undefined) return undefined
    const { literal, spread } = origin
    if (literal.kind === 'call') return literal.args[argumentIndex(literal.helper, key)]
    return literal.kind === 'array' ? this.#item(literal, spread, Number(key)) : this.#property(literal, spread, String(key), what)
  }

  #item({ items }: Literal & { kind: 'array' }, spread: readonly unknown[], index: number): number | undefined {
    let at = 0
    let spreads = 0
    for (const item of items) {
      if (item.kind === 'item') {
        if (at++ === index) return item.at
        continue
      }
      const source = spread[spreads++]
      if (!Array.isArray(source)) return undefined
      if (index < at + source.length) return this.#member(source, index - at, 'value')
      at += source.length
    }
    return undefined
  }

  /** The last one that gives the key is the one whose value counts. */
  #property({ members }: Literal & { kind: 'object' }, spread: readonly unknown[], key: string, what: 'key' | 'value'): number | undefined {
    let spreads = spread.length
    for (const member of members.toReversed()) {
      if (member.kind === 'property') {
        if (member.key === key) return what === 'key' ? member.keyAt : member.valueAt
        continue
      }
      const source = spread[--spreads]
      if (typeof source !== 'object' || source === null || !(key in source)) continue
      return this.#member(source, key, what)
    }
    const computed = members.find((member) => member.kind === 'property' && member.key === null)
    return computed?.kind === 'property' ? computed.keyAt : undefined
  }
}

/** The root, and what each step leads to. */
export function valuesAlong(root: unknown, path: Path): unknown[] {
  const values = [root]
  for (const step of path) values.push(get(values.at(-1), step))
  return values
}

/** `listeners.web.routes[2].path` */
export function formatPath(path: Path): string {
  let text = ''
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`
    else if (typeof step === 'string')
      text += /^[\p{ID_Start}_$][\p{ID_Continue}$]*$/u.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`
  }
  return text.replace(/^\./, '')
}

function keyOf(step: Step): string | number {
  return typeof step === 'object' ? step.hidden : step
}

function get(value: unknown, step: Step): unknown {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>)[keyOf(step)] : undefined
}

/** Which argument of a helper became which field of what it returns. */
const ARGUMENTS: Readonly<Record<string, readonly string[]>> = {
  upstream: ['name', 'options'],
  redirect: ['to', 'status'],
  respond: ['status', 'body', 'headers'],
  split: ['parts', 'options'],
  dns: ['name', 'srv'],
  file: ['path'],
  poll: ['find', 'interval'],
  plugin: ['options', 'use'],
}

function argumentIndex(helper: string, key: string | number): number {
  return (ownMember(ARGUMENTS, helper) ?? ['options']).indexOf(String(key))
}
