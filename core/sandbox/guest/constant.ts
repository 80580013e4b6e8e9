/**
 * Hooks that do the same whatever they are given: nothing but `head.headers.set('name', 'text')`, `append` and `delete` with texts
 * written out. The host does it by itself, and nothing crosses. Whatever the source leaves open is no such hook.
 */
import { OP_APPEND, OP_DELETE, OP_SET } from '../wire.ts'
import type { AnyHook } from './definition.ts'
import { functionText } from './primordials.ts'

/** Triples of operation, name, value; null: it has to be run. */
export function constantEdits(hook: AnyHook): (string | number)[] | null {
  const found = SIMPLE_FUNCTION.exec(functionText(hook))
  if (found === null) return null
  const [, first, alone, block, expression] = found
  const head = first ?? alone
  const body = block ?? expression!
  const edits: (string | number)[] = []
  let rest = body.trim()
  while (rest !== '') {
    const statement = STATEMENT.exec(rest)
    if (statement === null) return null
    const [all, name, method, ...texts] = statement
    const [key, value] = [texts[0] ?? texts[1], texts[2] ?? texts[3]]
    if (name !== head || key === undefined || (value === undefined) !== (method === 'delete')) return null
    edits.push(method === 'set' ? OP_SET : method === 'append' ? OP_APPEND : OP_DELETE, key, value ?? '')
    rest = rest.slice(all.length)
  }
  return edits.length === 0 ? null : edits
}

/** `name(a) {…}`, `function (a, b) {…}`, `(a) => {…}`, `a => …`, none of them async. */
const SIMPLE_FUNCTION =
  /^(?!async\b)(?:function\b\s*)?(?:[\w$]*\s*\(\s*([\w$]+)\s*(?:,\s*[\w$]+\s*)?\)|([\w$]+)(?=\s*=>))\s*(?:=>\s*)?(?:\{([\s\S]*)\}|([^{][\s\S]*))$/
const STATEMENT =
  /^([\w$]+)\.headers\.(set|append|delete)\(\s*(?:"([^"\\\n]*)"|'([^'\\\n]*)')\s*(?:,\s*(?:"([^"\\\n]*)"|'([^'\\\n]*)')\s*)?\)\s*(?:;\s*|\n\s*|$)/
