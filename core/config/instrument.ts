/**
 * Makes a bundle remember where its values were written: every object, array and call of a helper is passed through `__at`, every
 * spread through `__from`. For checking only; workers evaluate the bundle as it is. Loads acorn.
 */
import type { AnyNode, CallExpression, ObjectExpression, Program, Property } from 'acorn'
import type { Bundle } from './bundle.ts'
import { childrenOf, parseModule } from './syntax.ts'

/** Offset in the bundle's code. */
type Offset = number

export type Literal =
  | { readonly kind: 'object'; readonly at: Offset; readonly members: readonly Member[] }
  | { readonly kind: 'array'; readonly at: Offset; readonly items: readonly Item[] }
  /** A call of a helper of `sluice`; `args`: where each argument stands. */
  | { readonly kind: 'call'; readonly at: Offset; readonly helper: string; readonly args: readonly Offset[] }

export type Member =
  | { readonly kind: 'property' /** Null: computed. */; readonly key: string | null; readonly keyAt: Offset; readonly valueAt: Offset }
  | { readonly kind: 'spread' }
export type Item = { readonly kind: 'item'; readonly at: Offset } | { readonly kind: 'spread' }

/** A key that stands in its object already. */
export interface Repeated {
  readonly key: string
  readonly at: Offset
}

export interface Instrumented {
  readonly code: string
  /** By the first argument of `__at`. */
  readonly literals: readonly Literal[]
  readonly repeated: readonly Repeated[]
  /** Where text was put in, in order: offset in the bundle's code, and length. */
  readonly insertions: readonly (readonly [at: Offset, length: number])[]
}

export function instrument({ code, externals }: Bundle): Instrumented {
  const helpers = new Map(
    externals
      .filter(({ specifier }) => specifier === 'sluice')
      .flatMap(({ bindings }) => bindings.map(({ local, imported }) => [local, imported] as const)),
  )
  const program = parseModule(code, { isBody: true })
  for (const name of stubNames(program)) helpers.set(name, 'plugin')
  const writer = new Writer(helpers)
  writer.visit(program)
  const pieces: string[] = []
  let from = 0
  for (const { at, text } of writer.insertions) {
    pieces.push(code.slice(from, at), text)
    from = at
  }
  pieces.push(code.slice(from))
  return {
    code: pieces.join(''),
    literals: writer.literals,
    repeated: writer.repeated,
    insertions: writer.insertions.map(({ at, text }) => [at, text.length] as const),
  }
}

class Writer {
  readonly literals: Literal[] = []
  readonly repeated: Repeated[] = []
  readonly insertions: { readonly at: Offset; readonly text: string }[] = []
  /** Local names of what comes from `sluice`, and of plugins. */
  readonly #helpers: ReadonlyMap<string, string>

  constructor(helpers: ReadonlyMap<string, string>) {
    this.#helpers = helpers
  }

  /** Children are visited in the order they are written, so that insertions come out in order. */
  visit(node: AnyNode, parent: AnyNode | null = null): void {
    const literal = this.#literalOf(node)
    if (node.type === 'ObjectExpression') this.repeated.push(...repeatedIn(node))
    if (literal !== null) {
      const id = this.literals.push(literal) - 1
      this.insertions.push({ at: node.start, text: `__at(${id},${spreadsIn(literal)},` })
    }
    // A spread among the arguments of a call has no literal that would take back what it put aside.
    const isCounted = node.type === 'SpreadElement' && parent?.type !== 'CallExpression' && parent?.type !== 'NewExpression'
    if (isCounted) this.insertions.push({ at: node.argument.start, text: '__from(' })
    for (const child of childrenOf(node)) this.visit(child, node)
    if (literal !== null || isCounted) this.insertions.push({ at: node.end, text: ')' })
  }

  #literalOf(node: AnyNode): Literal | null {
    if (node.type === 'ObjectExpression' && !isStub(node)) return { kind: 'object', at: node.start, members: membersOf(node) }
    if (node.type === 'ArrayExpression') {
      const items = node.elements.map((one) =>
        one?.type === 'SpreadElement' ? { kind: 'spread' as const } : { kind: 'item' as const, at: one?.start ?? node.start },
      )
      return { kind: 'array', at: node.start, items }
    }
    return node.type === 'CallExpression' ? this.#callOf(node) : null
  }

  #callOf({ callee, arguments: args, start, optional }: CallExpression): Literal | null {
    const helper = callee.type === 'Identifier' ? this.#helpers.get(callee.name) : undefined
    return helper === undefined || optional ? null : { kind: 'call', at: start, helper, args: args.map((one) => one.start) }
  }
}

/** What stands for a plugin in a config (modules.ts): where it was called counts, not where it stands. */
function isStub({ properties: [kind, layer] }: ObjectExpression): boolean {
  const is = (property: typeof kind, name: string, value: string): boolean =>
    property?.type === 'Property' &&
    property.key.type === 'Identifier' &&
    property.key.name === name &&
    property.value.type === 'Literal' &&
    property.value.value === value
  return is(kind, 'kind', 'plugin') && is(layer, 'layer', 'http')
}

function stubNames({ body }: Program): string[] {
  const declarators = body.flatMap((node) => (node.type === 'VariableDeclaration' ? node.declarations : []))
  return declarators.flatMap(({ id, init }) => {
    const isStubbed = init?.type === 'ArrowFunctionExpression' && init.body.type === 'ObjectExpression' && isStub(init.body)
    return isStubbed && id.type === 'Identifier' ? [id.name] : []
  })
}

function membersOf({ properties }: ObjectExpression): Member[] {
  return properties.map((one) => {
    if (one.type === 'SpreadElement') return { kind: 'spread' }
    return { kind: 'property', key: keyOf(one), keyAt: one.key.start, valueAt: one.value.start }
  })
}

function repeatedIn({ properties }: ObjectExpression): Repeated[] {
  const seen = new Set<string>()
  return properties.flatMap((one) => {
    // A getter and a setter share a name.
    if (one.type !== 'Property' || one.kind !== 'init') return []
    const key = keyOf(one)
    if (key === null) return []
    const isRepeated = seen.has(key)
    seen.add(key)
    return isRepeated ? [{ key, at: one.key.start }] : []
  })
}

/** Null if it is computed. */
function keyOf({ key, computed }: Property): string | null {
  return computed ? null : key.type === 'Identifier' ? key.name : key.type === 'Literal' ? String(key.value) : null
}

function spreadsIn(literal: Literal): number {
  if (literal.kind === 'call') return 0
  const parts: readonly { readonly kind: string }[] = literal.kind === 'object' ? literal.members : literal.items
  return parts.filter(({ kind }) => kind === 'spread').length
}
