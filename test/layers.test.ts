/**
 * The layers of core/README.md hold: imports point down or sideways, folders do not go round in circles, the sandbox's engine is
 * named in one place, and what a worker loads stays small. Part of `npm run check`.
 */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { packageOf, reach, readImports, readSources, type SourceFile } from './support/imports.ts'
import { root } from './support/process.ts'

/** Lowest first. A name is a folder of core/ or a file directly in it; what stands in one row may import one another. */
const LAYERS: readonly (readonly string[])[] = [
  ['errors', 'clock', 'deadlines', 'environment', 'events', 'hooks', 'permissions', 'plugin-api', 'end-with-parent', 'entry-files'],
  ['net', 'route', 'balancer', 'blocking', 'gateway'],
  ['forward'],
  // The vocabulary that a config and a plugin are written in belongs to the config.
  ['config', 'dsl', 'index', 'plugin', 'request-view'],
  ['plan'],
  // All but the first two attach through hooks.ts, events.ts and sandbox/capabilities.ts: see ATTACHED.
  ['upstream', 'store', 'cache', 'policy', 'files', 'sandbox', 'capability', 'observe', 'admin'],
  ['http'],
  // Tells what the layers below would do, without doing it.
  ['explain'],
  ['connection'],
  ['listener'],
  ['doors', 'materials', 'runtime', 'proxy'],
  ['process', 'check', 'acme'],
  ['cli'],
  ['main', 'testing'],
  // Makes the npm package; not part of it.
  ['package'],
]

/** Seen by nobody but those that wire: the data path knows them by the contracts only. And they see nothing of the data path. */
const ATTACHED = ['sandbox', 'capability', 'observe', 'admin']
const WIRES = ['runtime', 'proxy', 'process', 'check', 'cli', 'main', 'testing']

/** Types only may point up to these, and from these to what they speak about. */
const CONTRACTS = ['core/hooks.ts', 'core/events.ts', 'core/plan/plan.ts', 'core/plan/upstream-plan.ts', 'core/plan/forward-plan.ts']

/** What runs in a process that carries traffic. */
const WORKER_ENTRIES = ['core/process/worker.ts', 'core/proxy.ts']
const NEVER_IN_WORKERS = ['esbuild', 'zod', 'chokidar', 'acorn', 'lru-cache', 'semver', 'acme-client']

const sources = readSources(root, 'core')

test('every file of core belongs to a layer', () => {
  const unknown = sources.filter((file) => layerOf(file.path) < 0).map((file) => file.path)
  assert.equal(unknown, [], 'add the folder to LAYERS')
})

test('no import points up', () => {
  assert.equal(sources.flatMap(upwardImports), [])
})

test('sandbox, capability, observe and admin are known to the data path by their contracts only', () => {
  const wrong = sources.flatMap((file) =>
    file.imports
      .filter(({ to, isType }) => !isType && ATTACHED.includes(partOf(to)) && partOf(to) !== partOf(file.path))
      .filter(() => !WIRES.includes(partOf(file.path)))
      .map(({ to }) => `${file.path} → ${to}`),
  )
  assert.equal(wrong, [])
})

test('folders import one another in one direction', () => {
  assert.equal(findCycle(sources), [])
})

test('isolated-vm is named in core/sandbox alone', () => {
  const wrong = sources.filter((file) => partOf(file.path) !== 'sandbox' && file.imports.some(({ to }) => packageOf(to) === 'isolated-vm'))
  assert.equal(
    wrong.map((file) => file.path),
    [],
  )
})

test('plugins import the public door of plugins, and nothing else of core', () => {
  const wrong = readSources(root, 'plugins').flatMap((file) =>
    file.imports.filter(({ to }) => to.startsWith('core/') && to !== 'core/plugin.ts').map(({ to }) => `${file.path} → ${to}`),
  )
  assert.equal(wrong, [])
})

test('workers never load esbuild, zod, chokidar, acorn, lru-cache or semver', () => {
  for (const entry of WORKER_ENTRIES) {
    assert.ok(
      sources.some(({ path }) => path === entry),
      `there is no ${entry}`,
    )
    const { files, packages } = reach(sources, entry)
    console.log(`  ${entry} loads ${files.size} files and ${[...packages.keys()].join(', ') || 'no package'}`)
    for (const name of NEVER_IN_WORKERS) assert.not(packages.has(name), `${entry} reaches ${name} by ${packages.get(name)}`)
  }
})

test('imports are read as the compiler reads them', () => {
  const source = [
    "import { a } from './a.ts'",
    "import type { B } from '../plan/plan.ts'",
    "export * from 'pino'",
    "const c = await import('node:net'); const text = `import x from 'zod'` // import y from 'esbuild'",
    "import { type D } from 'sluice/plugin'",
  ].join('\n')
  assert.equal(
    readImports(source, 'core/net/x.ts').map(({ to, isType }) => (isType ? `type ${to}` : to)),
    ['core/net/a.ts', 'pino', 'node:net', 'core/plugin.ts', 'type core/plan/plan.ts'],
  )
})

test('an import that points up, and a circle, are found', () => {
  const file = (path: string, to: string, isType = false): SourceFile => ({ path, imports: [{ to, isType }] })
  assert.is(upwardImports(file('core/net/x.ts', 'core/http/y.ts')).length, 1)
  assert.is(upwardImports(file('core/net/x.ts', 'core/http/y.ts', true)).length, 1)
  assert.is(upwardImports(file('core/net/x.ts', 'core/plan/plan.ts', true)).length, 0)
  assert.is(upwardImports(file('core/http/x.ts', 'core/net/y.ts')).length, 0)
  assert.equal(findCycle([file('core/net/x.ts', 'core/route/y.ts'), file('core/route/z.ts', 'core/net/w.ts')]), ['net', 'route', 'net'])
})

test.run()

function upwardImports(file: SourceFile): string[] {
  return file.imports
    .filter(({ to }) => layerOf(to) > layerOf(file.path))
    .filter(({ to, isType }) => !(isType && (CONTRACTS.includes(to) || CONTRACTS.includes(file.path))))
    .map(({ to, isType }) => `${file.path} → ${to}${isType ? ' (type)' : ''}`)
}

/** The folder of core, or the name of a file directly in it; '' for what is not in core. */
function partOf(path: string): string {
  return /^core\/([^/.]+)/.exec(path)?.[1] ?? ''
}

/** -1 for what is not in core. */
function layerOf(path: string): number {
  return LAYERS.findIndex((layer) => layer.includes(partOf(path)))
}

/** Names of folders that form a circle, first and last the same; empty if there is none. Types do not count: they are gone at run time. */
function findCycle(files: readonly SourceFile[]): string[] {
  const edges = new Map<string, Set<string>>()
  for (const file of files) {
    const targets = file.imports.filter(({ isType }) => !isType).map(({ to }) => partOf(to))
    const from = partOf(file.path)
    edges.set(from, new Set([...(edges.get(from) ?? []), ...targets.filter((to) => to !== '' && to !== from)]))
  }
  const done = new Set<string>()
  const walk = (part: string, trail: readonly string[]): string[] => {
    if (trail.includes(part)) return [...trail.slice(trail.indexOf(part)), part]
    if (done.has(part)) return []
    for (const next of edges.get(part) ?? []) {
      const cycle = walk(next, [...trail, part])
      if (cycle.length > 0) return cycle
    }
    done.add(part)
    return []
  }
  for (const part of edges.keys()) {
    const cycle = walk(part, [])
    if (cycle.length > 0) return cycle
  }
  return []
}
