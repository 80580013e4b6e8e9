/** Where files are memory: they outlive the process that wrote them, and not the machine. */
import { existsSync } from 'node:fs'

export const MEMORY = '/dev/shm'

/** Null: there is no such folder here. */
export function memoryFolder(): string | null {
  return process.platform === 'linux' && existsSync(MEMORY) ? MEMORY : null
}
