/**
 * `sluice types`: makes `sluice` known to the editor. Writes tsconfig.json, and plugins/tsconfig.json with the sandbox's globals alone;
 * into a tsconfig.json that is there it puts the paths to this program's types and nothing else. Running it again changes nothing.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { exitCodes } from './exit-codes.ts'
import { findInstalled, ownTypeRoots, sandboxTypes, typeFiles } from './installation.ts'
import { formatJson, JsoncError, parseJsonc, setJsonc } from './jsonc.ts'
import { shortPath } from './short-path.ts'

export async function runTypes({ dir }: { readonly dir: string }): Promise<number> {
  const folder = resolve(dir)
  mkdirSync(folder, { recursive: true })
  const installed = findInstalled('sluice', folder)
  if (installed !== null) say(`sluice is installed in ${shortPath(installed)}: the editor finds its types there`)
  const paths = installed === null ? pathsOfTypes() : null
  const isDone = [writeConfig(join(folder, 'tsconfig.json'), paths), writePluginsConfig(folder, paths !== null)].every(Boolean)
  return isDone ? exitCodes.ok : exitCodes.failed
}

type Paths = Readonly<Record<string, readonly string[]>>

/** For a folder in which `sluice` cannot be imported: absolute, as this program may lie anywhere. */
function pathsOfTypes(): Paths {
  return Object.fromEntries(Object.entries(typeFiles).map(([door, file]) => [door, [file]]))
}

/** False if the file could not be changed and the lines were printed instead. */
function writeConfig(file: string, paths: Paths | null): boolean {
  if (existsSync(file)) return paths === null ? keep(file) : mergePaths(file, paths)
  const hasNode = findInstalled('@types/node', dirname(file)) !== null
  const typeRoots = hasNode || paths === null ? [] : ownTypeRoots
  const types = hasNode || typeRoots.length > 0 ? ['node'] : []
  // Without the types of Node: what the host and the sandbox have in common is better than nothing.
  const files = types.length === 0 && paths !== null ? [sandboxTypes] : undefined
  write(file, { compilerOptions: projectOptions({ types, typeRoots, paths }), files, include: projectFiles })
  if (types.length === 0)
    say('process.env and node: modules need the types of Node: npm i -D @types/node, and "types": ["node"] in tsconfig.json')
  return true
}

export const projectFiles: readonly string[] = ['*.ts', 'plugins', 'test']

export interface ProjectTypes {
  readonly types: readonly string[]
  /** None: the usual ones. */
  readonly typeRoots: readonly string[]
  readonly paths: Paths | null
}

export function projectOptions({ types, typeRoots, paths }: ProjectTypes): Readonly<Record<string, unknown>> {
  return {
    target: 'esnext',
    module: 'preserve',
    lib: ['esnext'],
    types,
    typeRoots: typeRoots.length === 0 ? undefined : typeRoots,
    strict: true,
    // Sluice and Node run TypeScript by leaving the types out.
    noEmit: true,
    allowImportingTsExtensions: true,
    erasableSyntaxOnly: true,
    skipLibCheck: true,
    paths: paths ?? undefined,
  }
}

/** The nearest tsconfig.json is the editor's: in plugins/ it knows the sandbox's globals, and nothing of Node. */
function writePluginsConfig(folder: string, byPath: boolean): boolean {
  const file = join(folder, 'plugins/tsconfig.json')
  if (existsSync(file)) return keep(file)
  if (!existsSync(dirname(file))) {
    say('no folder plugins/: run it again once there is one, for the types of the sandbox')
    return true
  }
  return write(file, pluginsConfig(byPath))
}

/** Tests of plugins run on the host: they belong to the project's own tsconfig.json. */
export function pluginsConfig(byPath: boolean): unknown {
  const globals = byPath ? { compilerOptions: { types: [] }, files: [sandboxTypes] } : { compilerOptions: { types: ['sluice/sandbox'] } }
  return { extends: '../tsconfig.json', ...globals, include: ['**/*.ts'], exclude: ['**/*.test.ts'] }
}

function mergePaths(file: string, paths: Paths): boolean {
  const before = readFileSync(file, 'utf8')
  try {
    const options = optionsOf(before)
    if (options.paths === undefined && options.extends) throw new JsoncError('it extends another file, whose paths these would replace')
    let text = before
    for (const [door, target] of Object.entries(paths)) {
      if (JSON.stringify(optionsOf(text).paths?.[door]) !== JSON.stringify(target)) {
        text = setJsonc(text, ['compilerOptions', 'paths', door], target)
      }
    }
    if (text === before) return keep(file)
    // Never leave a file that is worse than before.
    parseJsonc(text)
    writeFileSync(file, text)
    say(`${shortPath(file)}: added the paths of ${Object.keys(paths).join(', ')}`)
    if (!options.importsTs) say('  imports that end in .ts also need: "allowImportingTsExtensions": true, "noEmit": true')
    return true
  } catch (error) {
    if (!(error instanceof JsoncError)) throw error
    say(`${shortPath(file)} was left alone: ${error.message}. Put this into its compilerOptions:`)
    say(`"paths": ${formatJson(paths)}`)
    return false
  }
}

interface KnownOptions {
  readonly extends: boolean
  readonly importsTs: boolean
  readonly paths: Readonly<Record<string, unknown>> | undefined
}

function optionsOf(text: string): KnownOptions {
  const root = parseJsonc(text).value as { extends?: unknown; compilerOptions?: Record<string, unknown> } | null
  const { paths, allowImportingTsExtensions } = root?.compilerOptions ?? {}
  return {
    extends: root?.extends !== undefined,
    importsTs: allowImportingTsExtensions === true,
    paths: paths as KnownOptions['paths'],
  }
}

function keep(file: string): true {
  say(`${shortPath(file)} stays as it is`)
  return true
}

function write(file: string, value: unknown): true {
  writeFileSync(file, `${formatJson(value)}\n`)
  say(`wrote ${shortPath(file)}`)
  return true
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}
