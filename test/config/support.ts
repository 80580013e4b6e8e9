/** Configs in temporary folders. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type Loaded, type LoaderOptions, type LoadOptions, loadConfig } from '../../core/check/loader.ts'
import { type Bundle, bundleConfig } from '../../core/config/bundle.ts'
import { checkConfig } from '../../core/config/check.ts'
import { instrument } from '../../core/config/instrument.ts'
import { ConfigError, type Problem } from '../../core/config/problems.ts'
import { bundlePlugin } from '../../core/sandbox/bundle.ts'

export type Files = Readonly<Record<string, string>>

/** A folder with these files; it is gone when the process ends. */
export function makeFolder(files: Files): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-config-'))
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
  folders.push(folder)
  return folder
}

const folders: string[] = []
process.once('exit', () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

export function bundle(files: Files): Promise<Bundle> {
  return bundleConfig(join(makeFolder(files), 'proxy.config.ts'), { bundlePlugin })
}

export function load(files: Files | string, options: LoaderOptions & LoadOptions = {}): Promise<Loaded> {
  const all = typeof files === 'string' ? { 'proxy.config.ts': files } : files
  return loadConfig(join(makeFolder(all), 'proxy.config.ts'), { deadlineMs: 60_000, ...options })
}

/** As `load`, in this process: no deadline, and much faster. */
export async function check(files: Files | string): Promise<readonly Problem[]> {
  try {
    const made = await bundle(typeof files === 'string' ? { 'proxy.config.ts': files } : files)
    return await checkConfig({ bundle: made, instrumented: instrument(made) })
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

/** `proxy.config.ts:3:7 path: message`, a line a problem. */
export function lines(problems: readonly Problem[]): string[] {
  return problems.map(({ severity, path, message, place }) => {
    const file = place?.file.replace(/^.*\/sluice-config-[^/]*\//, '') ?? '-'
    const where = place !== null && place.line > 0 ? `${file}:${place.line}:${place.column}` : file
    return `${where} ${severity === 'warning' ? 'warning: ' : ''}${path === null ? '' : `${path}: `}${message}`
  })
}
