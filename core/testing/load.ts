/** From what is to be simulated to a bundle. Throws with text for people: every problem at its place, with a code frame. */
import { existsSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import type { Bundle, PluginSource } from '../config/bundle.ts'
import { errorProblem, formatProblems, type Problem, placeIn } from '../config/problems.ts'
import { PLUGIN_UPSTREAM, type Source } from './messages.ts'

export async function loadSource(source: Source): Promise<Bundle> {
  return source.kind === 'config' ? loadWhole(source.file, false) : loadPlugin(source)
}

/** A plugin that could not be loaded, said with its code frame if that can be had; or the error as it is. */
export async function explainFailure(source: Source, error: unknown): Promise<Error> {
  const failure = error instanceof Error ? error : new Error(String(error))
  if (source.kind === 'plugin') return failure
  try {
    await loadWhole(source.file, true)
    return failure
  } catch (better) {
    return better instanceof Error ? better : failure
  }
}

/** `plugins`: load them too, as checking a config does; who runs the config will do so anyway. */
async function loadWhole(file: string, plugins: boolean): Promise<Bundle> {
  // It brings a compiler, which a later reload alone needs again.
  const { loadConfig } = await import('../check/loader.ts')
  const { bundle, problems } = await loadConfig(file, { plugins })
  if (bundle === null) throw invalid(file, problems)
  return bundle
}

async function loadPlugin({ file, ...source }: Source & { kind: 'plugin' }): Promise<Bundle> {
  if (!existsSync(file)) throw new Error(`there is no file ${file}`)
  const [{ bundlePlugin, BundleError }, { stop }] = await Promise.all([import('../sandbox/bundle.ts'), import('esbuild')])
  try {
    return bundleOf(await bundlePlugin(file), source)
  } catch (error) {
    if (!(error instanceof BundleError)) throw error
    throw invalid(
      file,
      error.problems.map(({ text, source, ...place }) => {
        return errorProblem(text, { ...placeIn(source, place.file, 1, place.column), line: place.line, firstLine: place.line })
      }),
    )
  } finally {
    // Its process would stay for a reload that may never come.
    await stop()
  }
}

/** One listener with that plugin, and one endpoint behind it. */
function bundleOf(plugin: PluginSource, { options, use, layer }: Omit<Source & { kind: 'plugin' }, 'file' | 'kind'>): Bundle {
  const kind = layer === 'http' ? 'http' : 'connection'
  const stub = JSON.stringify({ kind: 'plugin', layer: kind, name: basename(dirname(plugin.file)), plugin: plugin.id, options, use })
  const target = `upstream(${JSON.stringify(PLUGIN_UPSTREAM)}, { endpoints: ['127.0.0.1:1'] })`
  return {
    file: plugin.file,
    code: `return { listeners: { plugin: ${layer}({ listen: ':80', use: [${stub}], routes: [{ to: ${target} }] }) } }`,
    externals: [
      {
        specifier: 'sluice',
        name: 'sluice',
        bindings: [layer, 'upstream'].map((name) => ({ imported: name, local: name })),
      },
    ],
    map: JSON.stringify({ version: 3, sources: [], sourcesContent: [], names: [], mappings: '' }),
    plugins: [plugin],
    files: plugin.files,
    named: [],
    dataHash: null,
    packagesStamp: '',
  }
}

function invalid(file: string, problems: readonly Problem[]): Error {
  return new Error(`${basename(file)} cannot be simulated\n\n${formatProblems(problems, { color: false, folder: process.cwd() })}\n`)
}
