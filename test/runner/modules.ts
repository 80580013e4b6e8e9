/** Where tests, and what they start, find compiled modules: not among those of the user, for each run installs programs in new places. */
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'
import { root } from '../support/process.ts'

const folder = join(root, 'node_modules/.test-modules')
/** Of each kind of process, by Node's version and flags: ten times what one run needs. */
const MOST_FILES = 20_000

/** For this process and those that it will start. */
export function keepModules(): void {
  if (process.env.NODE_COMPILE_CACHE !== undefined || process.env.NODE_DISABLE_COMPILE_CACHE !== undefined) return
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  for (const kind of readdirSync(folder)) {
    if (readdirSync(join(folder, kind)).length > MOST_FILES) rmSync(join(folder, kind), { recursive: true, force: true })
  }
  enableCompileCache(folder)
  process.env.NODE_COMPILE_CACHE = folder
}
