/** How the processes of plugins are started: with which entry, which limits of memory, which environment, and what they may. */
import { getCompileCacheDir } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { entryFile } from '../../entry-files.ts'
import { SAMPLE_MICROS } from './frames.ts'
import { isolateFlags } from './isolate-flags.ts'

export const hostArguments = [
  ...isolateFlags,
  '--no-concurrent-osr',
  '--max-old-space-size=128',
  '--max-semi-space-size=2',
  entryFile('sandbox/engine/host'),
]

/** Nothing of this process's but where compiled modules are: without them, half of a host's start goes into compiling. */
export function hostEnvironment(): NodeJS.ProcessEnv {
  const cache = getCompileCacheDir()
  return cache === undefined ? {} : { NODE_COMPILE_CACHE: dirname(cache) }
}

/** It may read this program, until it has; nothing else of the system is open to it, and what it reads is never made into code. */
export function profiledArguments(memoryMb: number): readonly string[] {
  const entry = entryFile('sandbox/engine/profile-host')
  const core = resolve(entry, '../../..')
  return [
    ...['--permission', `--allow-fs-read=${core}`, `--allow-fs-read=${join(core, '../package.json')}`],
    ...['--disallow-code-generation-from-strings', `--cpu-profiler-sampling-interval=${SAMPLE_MICROS}`],
    ...[`--max-old-space-size=${128 + memoryMb}`, entry],
  ]
}
