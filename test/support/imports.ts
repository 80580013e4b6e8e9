/** Reads what a source file imports, exactly: types are stripped as Node strips them, the rest is parsed. */
import { existsSync, globSync, readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { type AnyNode, parse } from 'acorn'

export interface Import {
  /** Path from the root of the repository, `core/net/cidr.ts`, or a package, `pino`, `node:net`. */
  readonly to: string
  readonly isType: boolean
}

export interface SourceFile {
  readonly path: string
  readonly imports: readonly Import[]
}

const doors: Readonly<Record<string, string>> = {
  sluice: 'core/index.ts',
  'sluice/plugin': 'core/plugin.ts',
  'sluice/testing': 'core/testing.ts',
}

export function readSources(root: string, folder: string): SourceFile[] {
  const paths = globSync(`${folder}/**/*.ts`, { cwd: root, exclude: (path) => path.includes('node_modules') })
  const sources = paths.filter((path) => !path.endsWith('.d.ts') && !path.endsWith('.test.ts'))
  return sources.sort().map((path) => ({ path, imports: readImports(readFileSync(join(root, path), 'utf8'), path) }))
}

/** Static and dynamic imports and re-exports; one whose name is computed is left out. */
export function readImports(source: string, path: string): Import[] {
  const values: string[] = []
  visit(parse(stripTypeScriptTypes(source), { ecmaVersion: 'latest', sourceType: 'module', allowHashBang: true }), (node) => {
    if (node.type === 'ImportDeclaration' || node.type === 'ExportAllDeclaration') values.push(String(node.source.value))
    else if (node.type === 'ExportNamedDeclaration' && node.source) values.push(String(node.source.value))
    else if (node.type === 'ImportExpression' && node.source.type === 'Literal') values.push(String(node.source.value))
  })
  // A clause of braces or names only: text in a template that looks like one can only make the test stricter.
  const types = [...source.matchAll(/^\s*(?:import|export) type [\w*\s,{}]+?from '([^']+)'/gm)].map((match) => match[1]!)
  return [
    ...values.map((name) => ({ to: resolveImport(name, path), isType: false })),
    ...types.map((name) => ({ to: resolveImport(name, path), isType: true })),
  ]
}

/** Every file that `entry` loads, in the order found, and every package by name with the file that names it. */
export function reach(files: readonly SourceFile[], entry: string): { files: Set<string>; packages: Map<string, string> } {
  const byPath = new Map(files.map((file) => [file.path, file]))
  const found = new Set([entry])
  const packages = new Map<string, string>()
  for (const path of found) {
    for (const { to, isType } of byPath.get(path)?.imports ?? []) {
      if (isType) continue
      if (byPath.has(to)) found.add(to)
      else if (!/^(node:|core\/)/.test(to) && !packages.has(packageOf(to))) packages.set(packageOf(to), path)
    }
  }
  return { files: found, packages }
}

export function packageOf(name: string): string {
  return name
    .split('/')
    .slice(0, name.startsWith('@') ? 2 : 1)
    .join('/')
}

function resolveImport(name: string, from: string): string {
  if (!name.startsWith('.')) return doors[name] ?? name
  const path = relative('.', join(dirname(from), name))
  return existsSync(path) || path.endsWith('.ts') ? path : `${path}.ts`
}

function visit(node: AnyNode, see: (node: AnyNode) => void): void {
  see(node)
  for (const value of Object.values(node)) {
    for (const child of Array.isArray(value) ? value : [value]) {
      if (typeof child === 'object' && child !== null && typeof child.type === 'string') visit(child, see)
    }
  }
}
