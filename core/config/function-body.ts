/** A bundled module → the body of a function: its imports become parameters, its default export what it returns. Loads acorn. */
import { type Identifier, type ImportDeclaration, type Literal, type Program, parse } from 'acorn'
import type { External } from './bundle.ts'

export interface FunctionParts {
  /** Line by line and column by column where the module had it, so that its source map holds. */
  readonly code: string
  readonly externals: readonly External[]
}

export function parseModule(code: string): Program {
  return parse(code, { ecmaVersion: 'latest', sourceType: 'module' })
}

/** `code` is what esbuild writes for `format: 'esm'`: imports at the top, one `export { … }` at the end. */
export function toFunction(code: string, nameOf: (specifier: string) => string): FunctionParts {
  const externals: External[] = []
  let body = code
  let result = 'undefined'
  for (const node of parseModule(code).body) {
    if (node.type === 'ImportDeclaration') externals.push(toExternal(node, nameOf))
    else if (node.type === 'ExportNamedDeclaration' && node.source === null) {
      const found = node.specifiers.find((one) => one.exported.type === 'Identifier' && one.exported.name === 'default')
      if (found?.local.type === 'Identifier') result = found.local.name
    } else if (node.type === 'ExportNamedDeclaration' || node.type === 'ExportAllDeclaration') {
      // Named exports of a config are nobody's, but `export { default } from 'a package'` is a config too.
      const local = '__default'
      const specifier = String(node.source?.value)
      const isDefault = node.type === 'ExportNamedDeclaration' && node.specifiers.some((one) => nameIn(one.exported) === 'default')
      if (isDefault) result = local
      externals.push({ specifier, name: nameOf(specifier), bindings: isDefault ? [{ imported: 'default', local }] : [] })
    } else continue
    body = body.slice(0, node.start) + body.slice(node.start, node.end).replace(/[^\n]/g, ' ') + body.slice(node.end)
  }
  return { code: `${body}\nreturn ${result}`, externals }
}

function toExternal({ source, specifiers }: ImportDeclaration, nameOf: (specifier: string) => string): External {
  const specifier = String(source.value)
  const bindings = specifiers.map((one) => {
    if (one.type === 'ImportDefaultSpecifier') return { imported: 'default', local: one.local.name }
    return { imported: one.type === 'ImportNamespaceSpecifier' ? '*' : nameIn(one.imported), local: one.local.name }
  })
  return { specifier, name: nameOf(specifier), bindings }
}

function nameIn(node: Identifier | Literal): string {
  return node.type === 'Identifier' ? node.name : String(node.value)
}
