/**
 * Memory that processes share: a file of a few pages, mapped by `node:ffi`, an experiment of Node's. Null where that is not to be had, or
 * is not what it was; `SLUICE_NO_FFI=1` chooses that.
 */
import { createRequire } from 'node:module'

const PROT_READ_WRITE = 3
const MAP_SHARED = 1
const MAP_FAILED = 0xffff_ffff_ffff_ffffn

interface Ffi {
  dlopen(path: null, symbols: object): { readonly functions: { mmap(...values: (bigint | number)[]): bigint } }
  toArrayBuffer(pointer: bigint, length: number, copy: boolean): ArrayBuffer
}

/** The first bytes of the file, which has at least so many. Mapped until the process ends. */
export function mapShared(fd: number, bytes: number): ArrayBuffer | null {
  if (process.env.SLUICE_NO_FFI === '1') return null
  try {
    const { dlopen, toArrayBuffer } = createRequire(import.meta.url)('node:ffi') as Ffi
    const mmap = { return: 'pointer', arguments: ['pointer', 'uint64', 'int32', 'int32', 'int32', 'int64'] }
    const place = dlopen(null, { mmap }).functions.mmap(0n, BigInt(bytes), PROT_READ_WRITE, MAP_SHARED, fd, 0n)
    return place === MAP_FAILED || place === 0n ? null : toArrayBuffer(place, bytes, false)
  } catch {
    return null
  }
}
