/**
 * The body of an answer as a file: a header with its length and a checksum for each block, then the blocks. A file has another name until
 * it is whole, nothing is read that its checksum does not confirm, and no block is written or checked in the same turn as another one.
 */
import { close, closeSync, open, openSync, readv, readvSync } from 'node:fs'
import { open as openFile } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import type { BodySource } from '../body-source.ts'

export const BLOCK_BYTES = 131_072
const MAGIC = Buffer.from('sluice1\n')
/** Magic, length, how many blocks, checksum of the header. */
const FIXED_BYTES = 24

export class DamagedFile extends Error {}

export function blocksOf(length: number): number {
  return Math.ceil(length / BLOCK_BYTES)
}

export function fileBytes(length: number): number {
  return headerBytes(length) + length
}

export function headerBytes(length: number): number {
  return FIXED_BYTES + blocksOf(length) * 4
}

/** Under a name that is not there yet. What goes wrong leaves a file that is not whole. */
export async function writeObject(path: string, body: Buffer): Promise<void> {
  const header = Buffer.alloc(headerBytes(body.length))
  const file = await openFile(path, 'wx', 0o600)
  try {
    for (let i = 0; i < blocksOf(body.length); i++) {
      const block = body.subarray(i * BLOCK_BYTES, (i + 1) * BLOCK_BYTES)
      header.writeUInt32LE(crc32(block), FIXED_BYTES + i * 4)
      await writeAll(file, block, header.length + i * BLOCK_BYTES)
    }
    complete(header, body.length)
    await writeAll(file, header, 0)
  } finally {
    await file.close()
  }
}

/** One that has the sums. */
function complete(header: Buffer, length: number): void {
  MAGIC.copy(header)
  header.writeUIntLE(length, 8, 6)
  header.writeUInt32LE(blocksOf(length), 14)
  header.writeUInt32LE(checkOf(header), 20)
}

export function headerOf(length: number, sums: Uint32Array): Buffer {
  const header = Buffer.alloc(headerBytes(length))
  for (const [i, sum] of sums.entries()) header.writeUInt32LE(sum, FIXED_BYTES + i * 4)
  complete(header, length)
  return header
}

/** Of each block; or what is wrong with the header. */
export function sumsIn(header: Buffer, length: number): Uint32Array | string {
  return damageIn(header, length) ?? Uint32Array.from({ length: blocksOf(length) }, (_, i) => header.readUInt32LE(FIXED_BYTES + i * 4))
}

async function writeAll(file: Awaited<ReturnType<typeof openFile>>, bytes: Buffer, at: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) done += (await file.write(bytes, done, bytes.length - done, at + done)).bytesWritten
}

/** Of all of the header but the checksum itself. */
function checkOf(header: Buffer): number {
  return crc32(header.subarray(FIXED_BYTES), crc32(header.subarray(0, 20)))
}

export interface ReadingObject {
  /** The first block is in the body, or there is none. */
  onBegun(): void
  /** The file is not there, cannot be read, or is not what was written. */
  onError(error: Error): void
}

/** Fills `body`, which is of that length, a block a turn. */
export function readObject(path: string, body: BodySource, length: number, taker: ReadingObject): void {
  open(path, 'r', (error, fd) => {
    if (error !== null) return taker.onError(error)
    const header = Buffer.allocUnsafe(headerBytes(length))
    const finish = (failure: Error | null): void => {
      close(fd, () => {})
      if (failure !== null) taker.onError(failure)
    }
    const readBlock = (i: number): void => {
      const parts = i === 0 ? [header, blockIn(body, 0, length)] : [blockIn(body, i, length)]
      readv(fd, parts, i === 0 ? 0 : header.length + i * BLOCK_BYTES, (failure, bytes) => {
        if (failure !== null) return finish(failure)
        const damage = damageOf(header, parts.at(-1)!, { i, length, bytes })
        if (damage !== null) return finish(new DamagedFile(damage))
        body.fill(parts.at(-1)!.length)
        const isLast = i + 1 >= blocksOf(length)
        if (isLast) {
          finish(null)
          body.complete()
        } else body.advance()
        if (i === 0) taker.onBegun()
        if (!isLast) readBlock(i + 1)
      })
    }
    readBlock(0)
  })
}

/** The same at once: for a short body, where no disk is waited for. Throws what `onError` would be told. */
export function readObjectNow(path: string, body: BodySource, length: number): void {
  const fd = openSync(path, 'r')
  try {
    const header = Buffer.allocUnsafe(headerBytes(length))
    const block = blockIn(body, 0, length)
    const damage = damageOf(header, block, { i: 0, length, bytes: readvSync(fd, [header, block], 0) })
    if (damage !== null) throw new DamagedFile(damage)
    body.fill(block.length)
    body.complete()
  } finally {
    closeSync(fd)
  }
}

export function isOneBlock(length: number): boolean {
  return length <= BLOCK_BYTES
}

function blockIn(body: BodySource, i: number, length: number): Buffer {
  return body.bytes.subarray(i * BLOCK_BYTES, Math.min((i + 1) * BLOCK_BYTES, length))
}

function damageOf(header: Buffer, block: Buffer, { i, length, bytes }: { i: number; length: number; bytes: number }): string | null {
  if (bytes !== block.length + (i === 0 ? header.length : 0)) return 'it is too short'
  const damage = i === 0 ? damageIn(header, length) : null
  if (damage !== null) return damage
  return length === 0 || header.readUInt32LE(FIXED_BYTES + i * 4) === crc32(block) ? null : 'its body is damaged'
}

function damageIn(header: Buffer, length: number): string | null {
  if (!header.subarray(0, MAGIC.length).equals(MAGIC)) return 'it is no object of a cache'
  if (header.readUIntLE(8, 6) !== length || header.readUInt32LE(14) !== blocksOf(length)) return 'it has another length'
  return header.readUInt32LE(20) === checkOf(header) ? null : 'its header is damaged'
}
