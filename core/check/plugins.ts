/**
 * Loads every use of a plugin in a sandbox, as a worker would: what is wrong with each, and what each would do. One that cannot be
 * loaded does not hide the others.
 */
import { readFileSync } from 'node:fs'
import { createCapabilities } from '../capability/capabilities.ts'
import { kvShares, MOST_KV_BYTES } from '../capability/kv-shares.ts'
import { LocalKvStore } from '../capability/local-kv.ts'
import type { Bundle } from '../config/bundle.ts'
import { routeId } from '../config/flat-routes.ts'
import { httpListeners } from '../config/http-listeners.ts'
import { entriesOf } from '../config/lists.ts'
import type { LocatedConfig } from '../config/located.ts'
import { nearest } from '../config/nearest.ts'
import { formatPath, type Path, valuesAlong } from '../config/positions.ts'
import { errorProblem, type Place, type Problem, placeIn, wholeFile } from '../config/problems.ts'
import { sizeText } from '../config/units.ts'
import type { Observer } from '../events.ts'
import type { Config, HttpRoute, List } from '../index.ts'
import { type ConnectionUses, connectionUses, isPlugin, keyedUses, type PluginUseConfig, pluginUses } from '../plan/uses.ts'
import { KvNames } from '../sandbox/kv-names.ts'
import {
  type Definition,
  LoadedUse,
  missingGrants,
  PluginError,
  type PluginUse,
  Sandbox,
  summarizeUse,
  type UseSummary,
} from '../sandbox/sandbox.ts'

/** What one use of a plugin does, and what limits it. */
export interface UseFacts extends UseSummary {
  readonly match: Definition['match']
  readonly permissions: readonly string[]
}

/** Those that can be loaded; what is wrong with the others is for `checkUses` to say. */
export async function describeUses(config: Config, bundle: Bundle): Promise<UseFacts[]> {
  const facts: UseFacts[] = []
  await eachUse(config, bundle, (tried) => {
    if (tried.loaded === null) return
    facts.push(factsOf(tried, tried.loaded))
  })
  return facts
}

export interface PluginCheck {
  readonly bundle: Bundle
  readonly located: LocatedConfig
  /** Told before each: should it end the process, this was it. */
  onUse?(name: string): void
}

function factsOf({ use, isolation }: Tried, loaded: LoadedUse): UseFacts {
  const { match, permissions } = loaded.definition
  return { ...summarizeUse({ ...use, isolation }, loaded), match, permissions }
}

/** What `sluice check` tells of one use of a plugin. Plain data: it leaves the process that evaluated the config. */
export interface CheckedUse extends UseSummary {
  /** `listeners.web.use[0]` */
  readonly where: string
  readonly permissions: readonly string[]
}

export interface CheckedUses {
  readonly problems: readonly Problem[]
  /** Those that could be loaded. */
  readonly uses: readonly CheckedUse[]
}

/** For a config whose shape is right, at least where its plugins are. */
export async function checkUses({ bundle, located, onUse }: PluginCheck): Promise<CheckedUses> {
  const problems: Problem[] = []
  const uses: CheckedUse[] = []
  const config = located.config as Config
  const paths = pathsOf(config)
  const ofTcp = tcpUses(config)
  const see = (tried: Tried): void => {
    const { use, missing, error, loaded } = tried
    const path = paths.get(use.key) ?? []
    const name = formatPath(path)
    const words = new Words({ located, path, name: use.name })
    for (const text of missing) problems.push(errorProblem(`plugin ${use.name}: ${text}`, words.grantPlace(), name))
    if (error !== null) problems.push(...words.ofError(error))
    if (loaded === null) return
    const { match: _, ...facts } = factsOf(tried, loaded)
    const idle = neverAsked(facts.hooks, ofTcp.get(use.key) ?? null)
    if (idle !== null) problems.push(errorProblem(`plugin ${use.name}: ${idle}`, located.placeOf(path), name))
    uses.push({ ...facts, where: name })
  }
  await eachUse(config, bundle, see, onUse)
  const overdrawn = firstOverdrawn(uses)
  if (overdrawn !== null) {
    const { key, name, where } = overdrawn
    const words = new Words({ located, path: paths.get(key) ?? [], name })
    problems.push(errorProblem(`plugin ${name}: ${KV_OVERDRAWN}`, words.kvPlace(), where))
  }
  return { problems, uses }
}

const KV_OVERDRAWN = `with it plugins may keep more than ${sizeText(MOST_KV_BYTES)} in kv, which is memory of the supervisor: give some of them less, { kvMemory: '4mb' }`

/** The first whose share is too much beside those before it. */
function firstOverdrawn(uses: readonly CheckedUse[]): CheckedUse | null {
  const sum = (first: readonly CheckedUse[]): number => [...kvShares(first).values()].reduce((all, bytes) => all + bytes, 0)
  if (sum(uses) <= MOST_KV_BYTES) return null
  return uses.find((_, i) => sum(uses.slice(0, i + 1)) > MOST_KV_BYTES)!
}

const CONNECTION_HOOKS = ['onConnection', 'onClientHello', 'onData']

/** Of a plugin none of whose hooks is asked where it stands. `of` null: HTTP asks it. */
function neverAsked(hooks: readonly string[], of: ConnectionUses | null): string | null {
  const own = hooks.filter((hook) => hook !== 'onReload')
  const isAsked = (hook: string): boolean =>
    (hook === 'onLog' && of?.isHttp !== true) ||
    (CONNECTION_HOOKS.includes(hook) === (of !== null) && !(of?.isHttp === true && hook === 'onData'))
  if (own.length === 0 || own.some(isAsked)) return null
  if (of === null) return `TCP listeners alone ask ${own.join(', ')}: the plugin belongs into the use of a tcp({ … })`
  if (own.includes('onData'))
    return 'onData is not asked where the route goes to HTTP: its bodies and messages have hooks of their own, in the use of http({ … })'
  return `a TCP listener asks ${CONNECTION_HOOKS.join(', ')} and onLog alone, and it has ${own.join(', ')}`
}

function tcpUses(config: Config): ReadonlyMap<string, ConnectionUses> {
  return new Map(connectionUses(config).flatMap((uses) => keyedUses(uses.owner, uses.use).map(([key]) => [key, uses] as const)))
}

interface Tried {
  readonly use: PluginUse & { readonly name: string }
  readonly isolation: 'worker' | 'process'
  readonly loaded: LoadedUse | null
  /** Grants that are missing, or cannot be had, a sentence each. */
  readonly missing: readonly string[]
  readonly error: unknown
}

async function eachUse(config: Config, bundle: Bundle, see: (tried: Tried) => void, onUse?: (name: string) => void): Promise<void> {
  // What a plugin stores while it is set up here is for nobody.
  const sandbox = new Sandbox({ observer: silent, capabilities: createCapabilities({ kv: new LocalKvStore() }) })
  const kvNames = new KvNames()
  try {
    for (const use of pluginUses(config)) {
      const source = bundle.plugins.find(({ id }) => id === use.plugin)
      if (source === undefined) continue
      onUse?.(use.name)
      const tried = await tryUse(sandbox, { ...use, source, isolation: use.isolation ?? source.isolation })
      const name = tried.loaded?.name ?? use.name
      const shared = kvNames.problemOf({ name, file: source.file, grant: use.grant })
      see(shared === null ? tried : { ...tried, missing: [...tried.missing, shared] })
    }
  } finally {
    sandbox.close()
  }
}

/** With all grants, so that a missing one does not hide what comes after it; in this process, for it is thrown away. */
async function tryUse(sandbox: Sandbox, use: PluginUse & PluginUseConfig & { isolation: 'worker' | 'process' }): Promise<Tried> {
  const here: PluginUse = { ...use, isolation: 'worker' }
  let missing: readonly string[] = []
  try {
    const definition = await sandbox.define(here)
    missing = missingGrants(definition, use.grant)
    const granted = [...new Set([...use.grant, ...definition.permissions, 'credentials'])]
    // What no grant could give: the rest cannot be tried.
    if (missingGrants(definition, granted).length > 0) return { use, isolation: use.isolation, loaded: null, missing, error: null }
    const [hook] = await sandbox.load([{ ...here, grant: granted }])
    return { use, isolation: use.isolation, loaded: hook instanceof LoadedUse ? hook : null, missing, error: null }
  } catch (error) {
    return { use, isolation: use.isolation, loaded: null, missing, error }
  }
}

interface UsePlace {
  readonly located: LocatedConfig
  readonly path: Path
  /** Of the plugin. */
  readonly name: string
}

/** Says what is wrong with one use, where it was written or where the plugin was. */
class Words {
  readonly #use: UsePlace
  constructor(use: UsePlace) {
    this.#use = use
  }

  grantPlace(): Place {
    return this.#placeOf('grant')
  }

  kvPlace(): Place {
    return this.#placeOf('kvMemory', 'grant')
  }

  /** Of the first of these options that is there. */
  #placeOf(...options: readonly string[]): Place {
    const { located, path } = this.#use
    const has = (steps: Path): boolean => valuesAlong(located.config, steps).at(-1) !== undefined
    return located.placeOf([...options.map((option) => [...path, 'use', option]), [...path, 'use'], path].find(has) ?? path)
  }

  ofError(error: unknown): Problem[] {
    const path = formatPath(this.#use.path)
    if (!(error instanceof PluginError)) return [errorProblem(String(error), this.#use.located.placeOf(this.#use.path), path)]
    // The message begins with the place, which stands apart here; its stack is for those who debug.
    const [first = ''] = error.message.split('\n')
    const text = `plugin ${this.#use.name}${first.slice(first.indexOf(`: plugin ${error.plugin}: `) + error.plugin.length + 9)}`
    const [, issues] = /: the options are not valid: (.*)$/s.exec(text) ?? []
    if (issues !== undefined) return issues.split('; ').map((issue) => this.#ofIssue(issue))
    return [errorProblem(text, this.#ownPlace(error, text), path)]
  }

  /** `agents.0: expected text`: what the plugin's schema says of its options. */
  #ofIssue(issue: string): Problem {
    const { located, path, name } = this.#use
    const [, keys = '', words = issue] = /^([^\s:]+): (.*)$/s.exec(issue) ?? []
    const steps = keys === '' ? [] : keys.split('.').map((key) => (/^\d+$/.test(key) ? Number(key) : key))
    const at: Path = [...path, 'options', ...steps]
    const [, unknown, known = ''] = /^there is no option ([^,]+)(?:, but (.*))?$/s.exec(words) ?? []
    if (unknown !== undefined) {
      const near = nearest(unknown, known.split(', '))
      const hint = near !== null ? `; did you mean ${near}?` : known === '' ? '' : `; known are ${known}`
      return errorProblem(`plugin ${name}: unknown option${hint}`, located.placeOf([...at, unknown], 'key'), formatPath([...at, unknown]))
    }
    return errorProblem(`plugin ${name}: ${words}`, located.placeOf(at), formatPath(at))
  }

  /** In the plugin's source: where its stack says, or the hook that is meant. */
  #ownPlace({ file, line, column }: PluginError, text: string): Place {
    const source = sourceOf(file)
    if (source === null) return wholeFile(file)
    const hook = /\bhook (\w+)/.exec(text)?.[1]
    const at = hook === undefined ? -1 : source.search(new RegExp(`\\b${hook}\\b`))
    if (at < 0) return line > 0 ? placeIn(source, file, line, column) : wholeFile(file)
    const before = source.slice(0, at).split('\n')
    return placeIn(source, file, before.length, before.at(-1)!.length + 1)
  }
}

/** Where each use of a plugin stands, by its key. */
function pathsOf(config: Config): Map<string, Path> {
  const paths = new Map<string, Path>()
  const add = (owner: string, list: Parameters<typeof keyedUses>[1], path: Path): void => {
    for (const [key, use] of keyedUses(owner, list)) if (isPlugin(use)) paths.set(key, [...path, 'use', Number(/\[(\d+)\]$/.exec(key)![1])])
  }
  const addRoutes = (listener: string, parent: string, routes: List<HttpRoute>, path: Path): void => {
    for (const [i, route] of entriesOf<HttpRoute>(routes)) {
      const id = routeId(listener, parent, i, route)
      add(id, route.use, [...path, i])
      if (Array.isArray(route.routes)) addRoutes(listener, id, route.routes, [...path, i, 'routes'])
    }
  }
  add('', config.use, [])
  for (const { name, options, path } of httpListeners(config)) {
    add(name, options.use, path)
    addRoutes(name, name, options.routes, [...path, 'routes'])
  }
  for (const { owner, use, path } of connectionUses(config)) add(owner, use, path)
  return paths
}

function sourceOf(file: string): string | null {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return null
  }
}

// Whatever it is told, nobody is to hear it: one function stands for all of its methods.
const silent = new Proxy({}, { get: () => () => undefined }) as Observer
