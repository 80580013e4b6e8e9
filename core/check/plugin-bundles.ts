/** Bundles of plugins, kept as long as the files they were made of are the same and somebody asks for them. */
import { hash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import type { BundlePlugin } from '../config/modules.ts'
import type { PluginSource } from '../sandbox/source.ts'

interface Kept {
  readonly source: PluginSource
  /** Of the content of its files. */
  readonly content: string
  isUsed: boolean
}

export class PluginBundles {
  readonly #bundlePlugin: BundlePlugin
  readonly #kept = new Map<string, Kept>()

  constructor(bundlePlugin: BundlePlugin) {
    this.#bundlePlugin = bundlePlugin
  }

  readonly get = async (file: string): Promise<PluginSource> => {
    const known = this.#kept.get(file)
    if (known !== undefined && known.content === (await contentOf(known.source.files))) {
      known.isUsed = true
      return known.source
    }
    const startedAt = Date.now()
    const source = await this.#bundlePlugin(file)
    const content = await contentOf(source.files)
    // Saved since: what was bundled may be what stood there before.
    if (await isOlder(source.files, startedAt)) this.#kept.set(file, { source, content, isUsed: true })
    else this.#kept.delete(file)
    return source
  }

  /** Forgets what nobody has asked for since the last time. */
  sweep(): void {
    for (const [file, kept] of this.#kept) {
      if (!kept.isUsed) this.#kept.delete(file)
      kept.isUsed = false
    }
  }
}

/** File systems count time more coarsely than clocks. */
const CLOCK_STEP_MS = 5

async function isOlder(files: readonly string[], time: number): Promise<boolean> {
  const changes = await Promise.all(files.map(async (file) => (await stat(file).catch(() => null))?.ctimeMs ?? time))
  return changes.every((changedAt) => changedAt < time - CLOCK_STEP_MS)
}

async function contentOf(files: readonly string[]): Promise<string> {
  const parts = await Promise.all(files.map((file) => readFile(file, 'latin1').catch(() => '')))
  return hash('sha1', files.map((file, i) => `${file}\0${parts[i]!.length}\0${parts[i]}`).join('\0'), 'base64')
}
