/** The syntax tree of a module, and how to walk it. Loads acorn. */
import { type AnyNode, type Identifier, type Literal, type Program, parse } from 'acorn'

/** `isBody`: the body of a function, as bundles are, which may return. */
export function parseModule(code: string, { isBody = false } = {}): Program {
  return parse(code, { ecmaVersion: 'latest', sourceType: 'module', allowReturnOutsideFunction: isBody })
}

/** In the order they are written. */
export function childrenOf(node: AnyNode): AnyNode[] {
  // In `{ a }` key and value are the same place.
  if (node.type === 'Property' && node.shorthand) return [node.value]
  if (node.type === 'Literal' || node.type === 'Identifier') return []
  const children: AnyNode[] = []
  for (const value of Object.values(node)) {
    if (Array.isArray(value)) for (const one of value) take(one, children)
    else take(value, children)
  }
  return children.length < 2 ? children : children.sort((a, b) => a.start - b.start)
}

function take(value: unknown, into: AnyNode[]): void {
  if (typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string') into.push(value as AnyNode)
}

/** Calls `see` for every node, outer ones first, with the one around it. */
export function walk(node: AnyNode, see: (node: AnyNode, parent: AnyNode | null) => void, parent: AnyNode | null = null): void {
  see(node, parent)
  for (const child of childrenOf(node)) walk(child, see, node)
}

/** Of an import or export: `a`, `default`, or the text of `'a b'`. */
export function nameIn(node: Identifier | Literal): string {
  return node.type === 'Identifier' ? node.name : String(node.value)
}
