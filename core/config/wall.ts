/**
 * Finds the modules that define a plugin: those that take the value `definePlugin` from `sluice/plugin`, directly or by a module in
 * between, under any name. Read from transformed code, in which imports of types alone are gone. In doubt it says yes: a module that
 * is kept out by mistake is an error, one that is let in by mistake would run outside the sandbox.
 */
import { readFile } from 'node:fs/promises'
import { dirname, extname } from 'node:path'
import type { AnyNode, Program } from 'acorn'
import { type Loader, transform } from 'esbuild'
import { nameIn, parseModule, walk } from './syntax.ts'
import { TextCache } from './text-cache.ts'

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
  readonly #programs = new TextCache<Promise<Program | null>>()
  readonly #doors = new Map<string, Promise<Door>>()

  /** A new build: any file may have changed. */
  begin(): void {
    this.#doors.clear()
    this.#programs.sweep()
  }

  async analyse(path: string, text: string, loader: Loader): Promise<Analysis> {
    const program = await this.#parse(path, text, loader)
    if (program === null) return { definesPlugin: false, pluginName: null }
    const taken = await this.#takenNames(program, path)
    const definesPlugin = taken.isOpaque || usesAny(program, taken)
    return { definesPlugin, pluginName: definesPlugin ? findPluginName(program) : null }
  }

  /** Null for what does not parse: bundling says why, with the place. */
  #parse(path: string, text: string, loader: Loader): Promise<Program | null> {
    return this.#programs.get(path, text, () =>
      transform(text, { loader, target: 'esnext', tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: false } } })
        .then(({ code }) => parseModule(code))
        .catch(() => null),
    )
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
        if (node.exported) spaces.add(nameIn(node.exported))
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
  walk(program, (node, parent) => {
    if (node.type !== 'Identifier' || parent === null || isHandedOn(parent) || isPropertyName(node, parent)) return
    const door = spaces.get(node.name)
    if (values.has(node.name) || (door !== undefined && !isHarmlessMember(node, parent, door))) found = true
  })
  return found
}

function isHandedOn({ type }: AnyNode): boolean {
  return /^(Import|Export)(Default|Namespace)?Specifier$/.test(type)
}

function isPropertyName(node: AnyNode, parent: AnyNode): boolean {
  if (parent.type === 'MemberExpression') return parent.property === node && !parent.computed
  if (parent.type === 'Property') return parent.key === node && !parent.shorthand && !parent.computed
  return (parent.type === 'MethodDefinition' || parent.type === 'PropertyDefinition') && parent.key === node && !parent.computed
}

/** `door.respond`: plainly something else. */
function isHarmlessMember(node: AnyNode, parent: AnyNode, door: Door): boolean {
  if (parent.type !== 'MemberExpression' || parent.object !== node || parent.computed || parent.property.type !== 'Identifier') return false
  return !door.values.has(parent.property.name) && !door.spaces.has(parent.property.name)
}

/** What is required or imported by an expression, where it is plain text. */
function dynamicSources(program: Program): string[] {
  const sources: string[] = []
  walk(program, (node) => {
    const isRequire = node.type === 'CallExpression' && node.callee.type === 'Identifier' && node.callee.name === 'require'
    const source = isRequire ? node.arguments[0] : node.type === 'ImportExpression' ? node.source : undefined
    if (source?.type === 'Literal' && typeof source.value === 'string') sources.push(source.value)
  })
  return sources
}

/** The text of `name` in a call's first argument that has a `setup` too: definitions are written that way. */
function findPluginName(program: Program): string | null {
  let found: string | null = null
  walk(program, (node) => {
    const definition = node.type === 'CallExpression' ? node.arguments[0] : undefined
    if (found !== null || definition?.type !== 'ObjectExpression') return
    const properties = definition.properties.filter((one) => one.type === 'Property')
    const named = (name: string) => properties.find(({ key }) => key.type === 'Identifier' && key.name === name)
    const value = named('name')?.value
    if (named('setup') !== undefined && value?.type === 'Literal' && typeof value.value === 'string') found = value.value
  })
  return found
}
