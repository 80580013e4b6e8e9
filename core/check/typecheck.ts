/**
 * Type errors of a config and its plugins, found by the TypeScript 7 of the project. Never waits longer than its deadline, changes
 * nothing in the project, and where it cannot be done says why.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { type Problem, placeIn } from '../config/problems.ts'

export interface TypeCheckOptions {
  /** The config's file, an absolute path. */
  readonly file: string
  /** The files with this program's types, by what is imported: for a project that cannot find them. */
  readonly doors: Readonly<Record<string, string>>
  /** Where types of Node are, for a project that has none. */
  readonly typeRoots: readonly string[]
  /** What the sandbox has instead of Node. */
  readonly sandboxTypes: string
  /** Default 30 s. */
  readonly deadlineMs?: number
}

export interface TypeErrors {
  readonly problems: readonly Problem[]
  /** Why types were not checked, as a sentence goes on after that; null if they were. */
  readonly skipped: string | null
}

/** One error as the compiler prints it. */
interface Diagnostic {
  readonly file: string
  readonly line: number
  readonly column: number
  readonly code: string
  readonly message: string
}

export class TypeCheck {
  readonly #options: TypeCheckOptions
  readonly #compiler: Compiler | null
  readonly #skipped: string | null
  readonly #config: Promise<readonly Diagnostic[] | null>
  readonly #ended = new AbortController()

  /** Begins at once; which files count is known later. */
  constructor(options: TypeCheckOptions) {
    this.#options = options
    const found = findCompiler(dirname(options.file))
    this.#skipped = typeof found === 'string' ? found : null
    this.#compiler = typeof found === 'string' ? null : found
    this.#config = this.#compiler === null ? Promise.resolve(null) : this.#run([options.file], hostTypes)
    setTimeout(() => this.#ended.abort(), options.deadlineMs ?? 30_000).unref()
  }

  /** `files`: all that the config is built from. `plugins`: those of them that run in the sandbox, and among these the entries. */
  async finish(files: readonly string[], plugins: PluginFiles): Promise<TypeErrors> {
    if (this.#compiler === null) return { problems: [], skipped: this.#skipped }
    const inSandbox = plugins.entries.length === 0 ? Promise.resolve([]) : this.#run(plugins.entries, sandboxTypes)
    const [ofConfig, ofPlugins] = await Promise.all([this.#config, inSandbox])
    if (ofConfig === null || ofPlugins === null) return { problems: [], skipped: `the compiler did not finish in time` }
    const own = new Set(files.filter((file) => !file.includes('/node_modules/')))
    const guests = new Set(plugins.files.filter((file) => own.has(file)))
    const counted = [
      ...ofConfig.filter(({ file }) => own.has(file) && !guests.has(file)),
      ...ofPlugins.filter(({ file }) => guests.has(file)).map(inWordsOfSandbox),
    ]
    return { problems: counted.map(toProblem), skipped: null }
  }

  close(): void {
    this.#ended.abort()
  }

  /** Null if it was ended. */
  async #run(files: readonly string[], base: BaseOptions): Promise<readonly Diagnostic[] | null> {
    const folder = makeFolder(dirname(this.#options.file))
    try {
      const project = findUp('tsconfig.json', dirname(files[0]!))
      const first = await this.#compile(folder, { files, project, base, paths: null })
      const isUnknown = (one: Diagnostic): boolean => Object.keys(this.#options.doors).some((door) => isMissing(one, door))
      if (first === null || !first.some(isUnknown)) return this.#withoutNode(first, base)
      // This replaces the paths of the project: what it found by them before is not missing.
      const second = await this.#compile(folder, { files, project, base, paths: this.#options.doors })
      const before = new Set(first.map(keyOf))
      return this.#withoutNode(second?.filter((one) => one.code !== 'TS2307' || before.has(keyOf(one))) ?? null, base)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }

  /** Where nobody has types of Node, what a config uses of it is no mistake. */
  #withoutNode(found: readonly Diagnostic[] | null, base: BaseOptions): readonly Diagnostic[] | null {
    const { file, typeRoots } = this.#options
    const hasTypes = findUp('node_modules/@types/node', dirname(file)) !== null || typeRoots.some((root) => existsSync(join(root, 'node')))
    if (found === null || base === sandboxTypes || hasTypes) return found
    return found.filter(({ code, message }) => !/^TS(2580|2591)$/.test(code) && !(code === 'TS2307' && message.includes("'node:")))
  }

  async #compile(folder: string, { files, project, base, paths }: Compilation): Promise<readonly Diagnostic[] | null> {
    const compilerOptions = {
      ...(project === null ? PLAIN_OPTIONS : {}),
      ...FIXED_OPTIONS,
      ...base.options(this.#options, project !== null),
      ...(paths === null ? {} : { paths: Object.fromEntries(Object.entries(paths).map(([door, file]) => [door, [file]])) }),
    }
    const more = base.files(this.#options)
    const config = {
      ...(project === null ? {} : { extends: project }),
      compilerOptions,
      files: [...more, ...files],
      include: [],
      references: [],
    }
    const path = join(folder, 'tsconfig.json')
    writeFileSync(path, JSON.stringify(config))
    const { program, args } = this.#compiler!
    const compile = (...more: readonly string[]): Promise<string | null> =>
      outputOf(program, [...args, '-p', path, '--pretty', 'false', ...more], folder, this.#ended.signal)
    // Of several checkers each looks at the same libraries, which are most of what there is.
    const single = await compile('--checkers', '1')
    const text = single !== null && /^error TS5023: .*checkers/m.test(single) ? await compile() : single
    return text === null ? null : parseDiagnostics(text, folder)
  }
}

export interface PluginFiles {
  readonly entries: readonly string[]
  readonly files: readonly string[]
}

interface Compilation {
  readonly files: readonly string[]
  readonly project: string | null
  readonly base: BaseOptions
  readonly paths: TypeCheckOptions['doors'] | null
}

/** What a config is, whatever the project says: it is bundled, and its types are left out. `null` takes back what was extended. */
const FIXED_OPTIONS = {
  noEmit: true,
  module: 'preserve',
  moduleResolution: 'bundler',
  moduleDetection: 'force',
  allowImportingTsExtensions: true,
  skipLibCheck: true,
  composite: false,
  incremental: false,
  tsBuildInfoFile: null,
  declaration: false,
  declarationMap: false,
  emitDeclarationOnly: false,
  isolatedDeclarations: false,
  outDir: null,
  rootDir: null,
}
/** For a project without a tsconfig. */
const PLAIN_OPTIONS = { target: 'esnext', lib: ['esnext'], strict: true }

interface BaseOptions {
  options(own: TypeCheckOptions, hasProject: boolean): Readonly<Record<string, unknown>>
  files(own: TypeCheckOptions): readonly string[]
}

const hostTypes: BaseOptions = {
  options({ file, typeRoots }, hasProject) {
    if (hasProject) return {}
    const hasNode = findUp('node_modules/@types/node', dirname(file)) !== null
    return hasNode ? { types: ['node'] } : typeRoots.some((root) => existsSync(join(root, 'node'))) ? { types: ['node'], typeRoots } : {}
  },
  files: () => [],
}

const sandboxTypes: BaseOptions = {
  options: () => ({ types: [], lib: ['esnext'] }),
  files: (own) => [own.sandboxTypes],
}

interface Compiler {
  readonly program: string
  readonly args: readonly string[]
}

/** The project's own compiler, or why there is none to use. */
function findCompiler(folder: string): Compiler | string {
  const manifest = findUp('node_modules/typescript/package.json', folder)
  const install = 'npm i -D typescript'
  if (manifest === null) return `this project has no TypeScript 7 (${install})`
  const version = versionIn(manifest)
  if (!(Number.parseInt(version, 10) >= 7)) return `this project has TypeScript ${version}, not 7 (${install}@7)`
  const program = nativeProgram(manifest)
  return program === null ? { program: process.execPath, args: [join(dirname(manifest), 'bin/tsc')] } : { program, args: [] }
}

/** What `bin/tsc` would start, without the start of Node before it; null if it lies elsewhere. */
function nativeProgram(manifest: string): string | null {
  try {
    const found = createRequire(realpathSync(manifest)).resolve(`@typescript/typescript-${process.platform}-${process.arch}/package.json`)
    const program = join(dirname(found), 'lib', process.platform === 'win32' ? 'tsc.exe' : 'tsc')
    return existsSync(program) ? program : null
  } catch {
    return null
  }
}

function versionIn(manifest: string): string {
  try {
    return String((JSON.parse(readFileSync(manifest, 'utf8')) as { version?: unknown }).version)
  } catch {
    return 'of an unknown version'
  }
}

function findUp(name: string, from: string): string | null {
  for (let folder = from; ; folder = dirname(folder)) {
    if (existsSync(join(folder, name))) return join(folder, name)
    if (folder === dirname(folder)) return null
  }
}

/** Among the project's packages, so that types are found as from the config; elsewhere where that may not be written. */
function makeFolder(from: string): string {
  const packages = findUp('node_modules', from)
  try {
    if (packages === null) throw new Error('no packages')
    return mkdtempSync(join(packages, '.sluice-check-'))
  } catch {
    return mkdtempSync(join(tmpdir(), 'sluice-check-'))
  }
}

/** What a program prints; null if it was ended. */
function outputOf(program: string, args: readonly string[], cwd: string, signal: AbortSignal): Promise<string | null> {
  const { promise, resolve: done } = Promise.withResolvers<string | null>()
  if (signal.aborted) return Promise.resolve(null)
  // It ends before a collection would be worth it.
  const env = { GOGC: 'off', GOMEMLIMIT: '2GiB', ...process.env }
  const child: ChildProcess = spawn(program, args, { cwd, env, signal, killSignal: 'SIGKILL', stdio: ['ignore', 'pipe', 'ignore'] })
  let text = ''
  child.stdout!.setEncoding('utf8').on('data', (part: string) => {
    text += part
  })
  child.on('error', () => done(null))
  child.on('close', () => done(signal.aborted ? null : text))
  return promise
}

const DIAGNOSTIC = /^(.+?)\((\d+),(\d+)\): error (TS\d+): (.*)$/

/** What follows indented says more about the line before. */
function parseDiagnostics(text: string, folder: string): Diagnostic[] {
  const found: Diagnostic[] = []
  for (const line of text.split(/\r?\n/)) {
    const [, file, row, column, code, message] = DIAGNOSTIC.exec(line) ?? []
    if (file !== undefined)
      found.push({ file: resolve(folder, file), line: Number(row), column: Number(column), code: code!, message: message! })
    else if (/^\s+\S/.test(line) && found.length > 0) {
      const last = found.at(-1)!
      found[found.length - 1] = { ...last, message: `${last.message}\n${line}` }
    }
  }
  return found
}

/** The compiler's advice would be to install the types of Node. */
function inWordsOfSandbox(one: Diagnostic): Diagnostic {
  const name = /^Cannot find name '([^']+)'\. Do you need to install type definitions for node\?/.exec(one.message)?.[1]
  return name === undefined
    ? one
    : { ...one, message: `Cannot find name '${name}': a plugin runs in the sandbox, which has nothing of Node.` }
}

function isMissing({ code, message }: Diagnostic, door: string): boolean {
  return code === 'TS2307' && message.includes(`'${door}'`)
}

function keyOf({ file, line, column, code }: Diagnostic): string {
  return JSON.stringify([file, line, column, code])
}

function toProblem({ file, line, column, code, message }: Diagnostic): Problem {
  return { severity: 'error', path: null, message: `${message} (${code})`, place: placeIn(textOf(file), file, line, column) }
}

/** It may be gone by now. */
function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
