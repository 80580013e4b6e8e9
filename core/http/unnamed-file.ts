/** A file for one process alone, which no name leads to: nothing of it stays behind, however the process ends. */
import { randomBytes } from 'node:crypto'
import { close, constants, open, unlink } from 'node:fs'
import { join } from 'node:path'

const { O_RDWR, O_CREAT, O_EXCL, O_DIRECTORY = 0, O_NOFOLLOW = 0 } = constants
/** Of Linux, where file systems have it (open(2)). Node has no name for it. */
const O_TMPFILE = process.platform === 'linux' ? 0o20000000 | O_DIRECTORY : 0

/** -1: there is none. */
export function openUnnamed(folder: string, done: (descriptor: number) => void): void {
  if (O_TMPFILE === 0) return openAndUnlink(folder, done)
  open(folder, O_TMPFILE | O_RDWR, 0o600, (error, descriptor) => {
    if (error === null) done(descriptor)
    else openAndUnlink(folder, done)
  })
}

/** Without a name as soon as it is there. A process that is killed just in between leaves an empty file. */
function openAndUnlink(folder: string, done: (descriptor: number) => void): void {
  const path = join(folder, `sluice-${process.pid}-${randomBytes(8).toString('hex')}`)
  open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600, (error, descriptor) => {
    if (error !== null) return done(-1)
    unlink(path, (failed) => {
      if (failed === null) return done(descriptor)
      close(descriptor, () => {})
      done(-1)
    })
  })
}
