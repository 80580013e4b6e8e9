/** Whether a config may turn out to use plugins, by its text: a guess that is made before it is bundled, and often has to be no. */
import { readFileSync } from 'node:fs'

/** True if it imports anything but this program and Node; false where it cannot be read. */
export function mayUsePlugins(file: string): boolean {
  try {
    return IMPORTS_MORE.test(readFileSync(file, 'utf8'))
  } catch {
    return false
  }
}

const IMPORTS_MORE = /\b(?:from|import|require)\s*\(?\s*(['"`])(?!sluice\1|node:)/
