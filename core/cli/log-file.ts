/** The file of `--log`: made, or found to be writable, before anything starts, so that no worker fails over it. */
import { closeSync, openSync } from 'node:fs'
import path from 'node:path'

/** Throws with a sentence that names the option. */
export function prepareLogFile(file: string): void {
  try {
    closeSync(openSync(file, 'a', 0o640))
  } catch (error) {
    throw new Error(`--log ${file}: ${describe(file, error as NodeJS.ErrnoException)}`)
  }
}

function describe(file: string, { code, message }: NodeJS.ErrnoException): string {
  const folder = path.dirname(path.resolve(file))
  if (code === 'ENOENT') return `there is no folder ${folder}`
  if (code === 'ENOTDIR') return `${folder} is not a folder`
  if (code === 'EISDIR') return 'that is a folder; name a file'
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') return 'the file cannot be written by this user'
  return message
}
