/**
 * Where access lines are written: in batches of whole lines, so that lines of several workers never tear, and without ever waiting
 * for a reader. What a slow reader does not take is kept up to a limit, then dropped and counted.
 */
import { closeSync, constants, fstatSync, openSync, writeSync } from 'node:fs'
import net from 'node:net'
import { isatty } from 'node:tty'

export interface LineSinkOptions {
  /** A file that is appended to; null for standard output. */
  readonly path: string | null
  /** Told once when lines begin to be dropped, and once when all is written again. */
  readonly onDrops: (event: { readonly kind: 'began' | 'ended'; readonly lines: number; readonly why: string }) => void
  /** Descriptor of standard output; another one for tests. */
  readonly descriptor?: number
  readonly batchBytes?: number
  readonly keepBytes?: number
}

/** Longer lines cannot be kept whole on a pipe (PIPE_BUF). */
export const maxLineBytes = 4096

const flushAfterMs = 200
const retryAfterMs = 50

export class LineSink {
  /** Lines dropped since the start. */
  dropped = 0
  readonly #options: LineSinkOptions
  readonly #batchBytes: number
  readonly #keepBytes: number
  #target: Target
  /** Lines since the last batch; a rope that is flattened once, by the write. */
  #text = ''
  #timer: NodeJS.Timeout | null = null
  /** Batches that were not taken yet, oldest first. */
  #kept: Buffer[] = []
  #keptBytes = 0
  #droppedBefore = 0
  readonly #buffer: Buffer

  constructor(options: LineSinkOptions) {
    this.#options = options
    this.#batchBytes = options.batchBytes ?? 64 * 1024
    this.#keepBytes = options.keepBytes ?? 1024 * 1024
    this.#buffer = Buffer.allocUnsafeSlow(this.#batchBytes + maxLineBytes)
    this.#target = openTarget(options)
  }

  get isTerminal(): boolean {
    return this.#target.isTerminal
  }

  get hasColor(): boolean {
    return this.isTerminal && (process.env.NO_COLOR ?? '') === ''
  }

  /** Nothing waits to be written. */
  get isIdle(): boolean {
    return this.#text === '' && this.#keptBytes === 0
  }

  /** One line, ended by LF, a character a byte; on a pipe only one of at most `maxLineBytes` stays whole. */
  append(line: string): void {
    if (this.#keptBytes >= this.#keepBytes) {
      this.#drop(1, 'the reader is too slow')
      return
    }
    this.#text += line
    if (this.#text.length >= this.#batchBytes) this.flush()
    else if (this.#timer === null) this.#timer = setTimeout(this.#tick, flushAfterMs).unref()
  }

  /** Any text, its lines ended by LF; written at once. For what is not said once an exchange. */
  print(text: string): void {
    this.append(Buffer.from(text, 'utf8').latin1Slice())
    this.flush()
  }

  /** Writes what there is, as far as it is taken now. */
  flush(): void {
    const text = this.#text
    if (text !== '') {
      this.#text = ''
      const batch = this.#bytes(text)
      const written = this.#keptBytes === 0 ? this.#write(batch) : 0
      if (written < batch.length) this.#keep(Buffer.from(batch.subarray(written)))
    }
    while (this.#kept.length > 0 && this.#writeKept()) {}
    if (this.#keptBytes > 0) this.#timer ??= setTimeout(this.#tick, retryAfterMs).unref()
    else if (this.dropped > this.#droppedBefore) this.#recover()
  }

  /** Opens a file target anew, after it was moved away. */
  reopen(): void {
    this.flush()
    if (this.#options.path === null) return
    const before = this.#target
    this.#target = openTarget(this.#options)
    before.close()
  }

  /** Writes what is taken at once, and lets the rest go. */
  close(): void {
    this.flush()
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#target.close()
  }

  readonly #tick = (): void => {
    this.#timer = null
    this.flush()
  }

  /** Writes whole lines in pieces; returns how many bytes were taken. */
  #write(batch: Buffer): number {
    let from = 0
    while (from < batch.length) {
      const to = this.#target.pieceEnd(batch, from)
      const result = this.#target.write(batch, from, to)
      if (result === 'wait') break
      // A reader that is gone, or a full disk: the lines are lost, the proxy is not.
      if (typeof result === 'object') this.#drop(countLines(batch, from, to), result.error)
      from = typeof result === 'number' ? from + result : to
    }
    return from
  }

  #bytes(text: string): Buffer {
    if (text.length > this.#buffer.length) return Buffer.from(text, 'latin1')
    return this.#buffer.subarray(0, this.#buffer.latin1Write(text, 0))
  }

  #writeKept(): boolean {
    const first = this.#kept[0]!
    const written = this.#write(first)
    this.#keptBytes -= written
    if (written < first.length) {
      this.#kept[0] = first.subarray(written)
      return false
    }
    this.#kept.shift()
    return true
  }

  #keep(rest: Buffer): void {
    this.#kept.push(rest)
    this.#keptBytes += rest.length
  }

  #drop(lines: number, why: string): void {
    if (this.dropped === this.#droppedBefore) this.#options.onDrops({ kind: 'began', lines: 0, why })
    this.dropped += lines
  }

  #recover(): void {
    const lines = this.dropped - this.#droppedBefore
    this.#droppedBefore = this.dropped
    this.#options.onDrops({ kind: 'ended', lines, why: '' })
  }
}

interface Target {
  readonly isTerminal: boolean
  /** Where a piece that begins at `from` ends, so that one write of it cannot mix with another process's. */
  pieceEnd(batch: Buffer, from: number): number
  /** Bytes taken; `wait` when the reader is behind. */
  write(batch: Buffer, from: number, to: number): number | 'wait' | { readonly error: string }
  close(): void
}

function openTarget(options: LineSinkOptions): Target {
  const { fd, isOwn } = options.path === null ? openOutput(options.descriptor ?? 1) : { fd: openFile(options.path), isOwn: true }
  const stat = fstatSync(fd)
  const inPieces = stat.isFIFO() || stat.isSocket() || isatty(fd)
  return {
    isTerminal: isatty(fd),
    pieceEnd: (batch, from) => (inPieces ? lastLineEnd(batch, from, from + maxLineBytes) : batch.length),
    write: (batch, from, to) => writeSome(fd, batch, { from, to }),
    close: () => {
      if (isOwn) closeSync(fd)
    },
  }
}

function openFile(path: string): number {
  return openSync(path, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK, 0o640)
}

/**
 * An open file description of our own: O_NONBLOCK set on the inherited one would be set for every process that shares it, the
 * user's shell included. A socket cannot be opened so; it is then made non-blocking as it is, by node. A file never blocks, and
 * its description holds the place where the next program of a script goes on: written past it, our lines would be overwritten.
 */
function openOutput(descriptor: number): { fd: number; isOwn: boolean } {
  if (fstatSync(descriptor).isFile()) return { fd: descriptor, isOwn: false }
  try {
    const fd = openSync(`/proc/self/fd/${descriptor}`, constants.O_WRONLY | constants.O_APPEND | constants.O_NONBLOCK)
    return { fd, isOwn: true }
  } catch {
    if (fstatSync(descriptor).isSocket()) new net.Socket({ fd: descriptor, readable: false }).unref()
    return { fd: descriptor, isOwn: false }
  }
}

function writeSome(fd: number, batch: Buffer, { from, to }: { from: number; to: number }): number | 'wait' | { error: string } {
  try {
    return writeSync(fd, batch, from, to - from)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
    return code === 'EAGAIN' || code === 'EWOULDBLOCK' || code === 'EINTR' ? 'wait' : { error: code }
  }
}

function lastLineEnd(batch: Buffer, from: number, limit: number): number {
  if (limit >= batch.length) return batch.length
  const end = batch.lastIndexOf(10, limit - 1) + 1
  return end > from ? end : batch.indexOf(10, from) + 1
}

function countLines(batch: Buffer, from: number, to: number): number {
  let lines = 0
  for (let at = batch.indexOf(10, from); at >= 0 && at < to; at = batch.indexOf(10, at + 1)) lines++
  return lines
}
