/** A plugin as bundled: all that is needed to run it, as plain data that crosses to workers. */

export interface PluginSource {
  /** Changes whenever anything of the plugin changes. */
  readonly id: string
  /** The entry, an absolute path. */
  readonly file: string
  /** One script, the plugin and what it imports: it leaves its module in `__plugin`, and finds `sluice/plugin` in `__sluice`. */
  readonly code: string
  /** Source map of `code`, JSON. */
  readonly map: string
  /** Every file it was built from. */
  readonly files: readonly string[]
  /** The npm package that it came in; null for a plugin of the project's own. */
  readonly package: PluginPackage | null
  /** Where it runs unless its use says otherwise. */
  readonly isolation: 'worker' | 'process'
  /** The script that is evaluated before it: the sandbox's runtime. */
  readonly prelude: string
}

export interface PluginPackage {
  readonly name: string
  readonly version: string
  /** The range of versions of sluice in its `peerDependencies`; null if it gives none. */
  readonly builtFor: string | null
}

/** A failure of a plugin with its place, for a reload's message. */
export class PluginError extends Error {
  readonly plugin: string
  readonly file: string
  /** 1-based; 0 if it is not known. */
  readonly line: number
  readonly column: number
  constructor(plugin: string, text: string, place: { file: string; line: number; column: number }) {
    const at = place.line > 0 ? `${place.file}:${place.line}:${place.column}` : place.file
    super(`${at}: plugin ${plugin}: ${text}`)
    this.name = 'PluginError'
    this.plugin = plugin
    this.file = place.file
    this.line = place.line
    this.column = place.column
  }
}
