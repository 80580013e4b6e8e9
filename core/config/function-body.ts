/** A bundled module → the body of a function: its imports become parameters, its default export what it returns. Loads acorn. */
import type { ImportDeclaration, Node } from 'acorn'
import type { External } from './bundle.ts'
import { IMPORT_NAME, META_NAME } from './evaluate.ts'
import { nameIn, parseModule, walk } from './syntax.ts'

export interface FunctionParts {
  /** Line by line and column by column where the module had it, so that its source map holds. */
  readonly code: string
  readonly externals: readonly External[]
}

/** `code` is what esbuild writes for `format: 'esm'`: imports at the top, one `export { … }` at the end. */
export function toFunction(code: string, nameOf: (specifier: string) => string): FunctionParts {
  const externals: External[] = []
  const text = new Overwriter(code)
  const program = parseModule(code)
  let result = 'undefined'
  for (const node of program.body) {
    if (node.type === 'ImportDeclaration') externals.push(toExternal(node, nameOf))
    else if (node.type === 'ExportNamedDeclaration' && node.source === null) {
      const found = node.specifiers.find((one) => nameIn(one.exported) === 'default')
      if (found !== undefined) result = nameIn(found.local)
    } else if (node.type === 'ExportNamedDeclaration' || node.type === 'ExportAllDeclaration') {
      // Named exports of a config are nobody's, but `export { default } from 'a package'` is a config too.
      const specifier = String(node.source?.value)
      const found = node.type === 'ExportNamedDeclaration' ? node.specifiers.find((one) => nameIn(one.exported) === 'default') : undefined
      if (found !== undefined) result = '__default'
      const bindings = found === undefined ? [] : [{ imported: nameIn(found.local), local: result }]
      externals.push({ specifier, name: nameOf(specifier), bindings })
    } else continue
    text.blank(node)
  }
  // A function that is compiled by itself has neither of these.
  if (MAY_IMPORT.test(code))
    walk(program, (node) => {
      if (node.type === 'ImportExpression') text.put(node.start, IMPORT_NAME)
      if (node.type === 'MetaProperty' && node.meta.name === 'import') text.put(node.start, META_NAME)
    })
  return { code: `${text.take()}\nreturn ${result}`, externals }
}

/** Otherwise the tree need not be walked. */
const MAY_IMPORT = /\bimport\s*[(.]|\bimport\s*\/[/*]/

/** Changes text without moving what stands behind. */
class Overwriter {
  #text: string
  constructor(text: string) {
    this.#text = text
  }
  put(at: number, text: string): void {
    this.#text = this.#text.slice(0, at) + text + this.#text.slice(at + text.length)
  }
  blank({ start, end }: Node): void {
    this.put(start, this.#text.slice(start, end).replace(/[^\n]/g, ' '))
  }
  take(): string {
    return this.#text
  }
}

function toExternal({ source, specifiers }: ImportDeclaration, nameOf: (specifier: string) => string): External {
  const specifier = String(source.value)
  const bindings = specifiers.map((one) => {
    if (one.type === 'ImportDefaultSpecifier') return { imported: 'default', local: one.local.name }
    return { imported: one.type === 'ImportNamespaceSpecifier' ? '*' : nameIn(one.imported), local: one.local.name }
  })
  return { specifier, name: nameOf(specifier), bindings }
}
