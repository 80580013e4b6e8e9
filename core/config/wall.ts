/**
 * Finds the modules that define a plugin: those that take the value `definePlugin` from `sluice/plugin`, directly or by a module in
 * between, under any name. Read from transformed code, in which imports of types alone are gone. In doubt it says yes: a module that
 * is kept out by mistake is an error, one that is let in by mistake would run outside the sandbox.
 */
import { readFile } from 'node:fs/promises'
import { dirname, extname } from 'node:path'
import type { Identifier, Literal, Node, Program } from 'acorn'
import { type Loader, transform } from 'esbuild'
import { parseModule } from './function-body.ts'

export interface Analysis {
  readonly definesPlugin: boolean
  /** The text after `name:` of its definition, if it is text. */
  readonly pluginName: string | null
}

/** What a module hands on: names that are `definePlugin`, and names of objects that hold it. */
interface Door {
  readonly values: ReadonlySet<string>
  readonly spaces: ReadonlySet<string>
}

const NOTHING: Door = { values: new Set(), spaces: new Set() }
const PLUGIN_DOOR: Door = { values: new Set(['definePlugin']), spaces: new Set() }

export class Wall {
  /** The file that an import names, null for what is no file of the project. Set by who knows. */
  resolve: (source: string, folder: string) => Promise<string | null> = async () => null
  readonly #programs = new Map<string, Promise<Program | null>>()
  readonly #doors = new Map<string, Promise<Door>>()

  async analyse(path: string, text: string, loader: Loader): Promise<Analysis> {
    const program = await this.#parse(path, text, loader)
    if (program === null) return { definesPlugin: false, pluginName: null }
    const taken = await this.#takenNames(program, path)
    const definesPlugin = taken.isOpaque || usesAny(program, taken)
    return { definesPlugin, pluginName: definesPlugin ? findPluginName(program) : null }
  }

  /** Null for what does not parse: bundling says why, with the place. */
  #parse(path: string, text: string, loader: Loader): Promise<Program | null> {
    let program = this.#programs.get(path)
    if (program === undefined) {
      program = transform(text, { loader, target: 'esnext', tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: false } } })
        .then(({ code }) => parseModule(code))
        .catch(() => null)
      this.#programs.set(path, program)
    }
    return program
  }

  /** Local names under which a module holds `definePlugin` or an object with it. */
  async #takenNames(program: Program, path: string): Promise<Taken> {
    const taken: Taken = { values: new Set(), spaces: new Map(), isOpaque: false }
    for (const node of program.body) {
      if (node.type !== 'ImportDeclaration') continue
      const door = await this.#doorOf(String(node.source.value), path)
      if (door === NOTHING) continue
      for (const specifier of node.specifiers) {
        if (specifier.type === 'ImportNamespaceSpecifier') taken.spaces.set(specifier.local.name, door)
        else {
          const imported = specifier.type === 'ImportDefaultSpecifier' ? 'default' : nameIn(specifier.imported)
          if (door.values.has(imported)) taken.values.add(specifier.local.name)
          if (door.spaces.has(imported)) taken.spaces.set(specifier.local.name, PLUGIN_DOOR)
        }
      }
    }
    for (const source of dynamicSources(program)) if ((await this.#doorOf(source, path)) !== NOTHING) taken.isOpaque = true
    return taken
  }

  async #doorOf(source: string, importer: string): Promise<Door> {
    if (source === 'sluice/plugin') return PLUGIN_DOOR
    if (source === 'sluice' || source.startsWith('node:')) return NOTHING
    const path = await this.resolve(source, dirname(importer))
    if (path === null || path.includes('/node_modules/') || !/^\.[cm]?[jt]sx?$/.test(extname(path))) return NOTHING
    let door = this.#doors.get(path)
    if (door === undefined) {
      // Modules that import one another in a circle find nothing in the one they came from.
      this.#doors.set(path, Promise.resolve(NOTHING))
      door = this.#readDoor(path)
      this.#doors.set(path, door)
    }
    return door
  }

  async #readDoor(path: string): Promise<Door> {
    const text = await readFile(path, 'utf8').catch(() => '')
    const end = extname(path)
      .replace(/^\.[cm]/, '.')
      .slice(1)
    const program = await this.#parse(path, text, end as Loader)
    if (program === null) return NOTHING
    const taken = await this.#takenNames(program, path)
    const values = new Set<string>()
    const spaces = new Set<string>()
    for (const node of program.body) {
      if (node.type === 'ExportAllDeclaration') {
        const door = await this.#doorOf(String(node.source.value), path)
        if (door === NOTHING) continue
        if (node.exported !== null) spaces.add(nameIn(node.exported))
        else for (const name of door.values) if (name !== 'default') values.add(name)
      } else if (node.type === 'ExportNamedDeclaration') {
        const door = node.source ? await this.#doorOf(String(node.source.value), path) : null
        for (const { local, exported } of node.specifiers) {
          const name = nameIn(local)
          if (door !== null ? door.values.has(name) : taken.values.has(name)) values.add(nameIn(exported))
          if (door !== null ? door.spaces.has(name) : taken.spaces.has(name)) spaces.add(nameIn(exported))
        }
      }
    }
    return values.size + spaces.size === 0 ? NOTHING : { values, spaces }
  }
}

interface Taken {
  readonly values: Set<string>
  readonly spaces: Map<string, Door>
  /** By `require()` or `import()`: what becomes of it cannot be told. */
  isOpaque: boolean
}

/** Whether a name that was taken is used for more than being handed on. */
function usesAny(program: Program, { values, spaces }: Taken): boolean {
  let found = false
  const visit = (node: AnyNode, parent: AnyNode | null): void => {
    if (found || node.type === 'ImportDeclaration' || (node.type === 'ExportNamedDeclaration' && node.declaration === null)) return
    if (node.type === 'Identifier' && !isPropertyName(node, parent)) {
      const name = String(node.name)
      const door = spaces.get(name)
      if (values.has(name) || (door !== undefined && !isHarmlessMember(node, parent, door))) found = true
    }
    for (const child of childrenOf(node)) visit(child, node)
  }
  visit(program as unknown as AnyNode, null)
  return found
}

/** Nodes are walked as records: what matters is found by their fields, whatever kind they are. */
type AnyNode = Node & Readonly<Record<string, unknown>>

function isPropertyName(node: AnyNode, parent: AnyNode | null): boolean {
  if (parent === null || parent.computed === true) return false
  if (parent.type === 'MemberExpression') return parent.property === node
  if (parent.type === 'Property') return parent.key === node && parent.shorthand !== true
  return (parent.type === 'MethodDefinition' || parent.type === 'PropertyDefinition') && parent.key === node
}

/** `door.respond`: plainly something else. */
function isHarmlessMember(node: AnyNode, parent: AnyNode | null, door: Door): boolean {
  if (parent?.type !== 'MemberExpression' || parent.object !== node || parent.computed === true) return false
  const name = String((parent.property as AnyNode).name)
  return !door.values.has(name) && !door.spaces.has(name)
}

function dynamicSources(program: Program): string[] {
  const sources: string[] = []
  const visit = (node: AnyNode): void => {
    const isRequire = node.type === 'CallExpression' && (node.callee as AnyNode).name === 'require'
    const argument = isRequire ? (node.arguments as AnyNode[])[0] : node.type === 'ImportExpression' ? (node.source as AnyNode) : undefined
    if (typeof argument?.value === 'string') sources.push(argument.value)
    for (const child of childrenOf(node)) visit(child)
  }
  visit(program as unknown as AnyNode)
  return sources
}

/** The first `name: 'text'` among the arguments of a call: definitions are written that way. */
function findPluginName(program: Program): string | null {
  let found: string | null = null
  const visit = (node: AnyNode): void => {
    if (found !== null) return
    if (node.type === 'CallExpression') {
      const [definition] = node.arguments as AnyNode[]
      const properties = definition?.type === 'ObjectExpression' ? (definition.properties as AnyNode[]) : []
      const hasSetup = properties.some((one) => keyOf(one) === 'setup')
      const value = properties.find((one) => keyOf(one) === 'name')?.value as AnyNode | undefined
      if (hasSetup && typeof value?.value === 'string') found = value.value
    }
    for (const child of childrenOf(node)) visit(child)
  }
  visit(program as unknown as AnyNode)
  return found
}

function keyOf(property: AnyNode): unknown {
  return (property.key as AnyNode | undefined)?.name
}

function childrenOf(node: AnyNode): AnyNode[] {
  return Object.values(node)
    .flat()
    .filter((value): value is AnyNode => typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string')
}

function nameIn(node: Identifier | Literal | undefined): string {
  return node?.type === 'Identifier' ? node.name : String(node?.value)
}
