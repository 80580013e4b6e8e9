/** Where the entries of this program's processes lie: beside this file, as source or compiled. */
import { fileURLToPath } from 'node:url'

export type Entry =
  | 'process/worker'
  | 'check/checker-process'
  | 'testing/simulation-process'
  | 'sandbox/engine/host'
  | 'sandbox/engine/profile-host'

export function entryFile(entry: Entry): string {
  const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js'
  return fileURLToPath(new URL(`./${entry}${extension}`, import.meta.url))
}
