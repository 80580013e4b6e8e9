/**
 * Messages inflated and deflated as RFC 7692 §7.2 says, at once and bounded: what would become more than the limit is given up with
 * at most a chunk more than the limit in memory. Two ways to zlib keep one contract: its handles, and where those cannot be had, its
 * documented functions with the window handed back as a dictionary, twenty times dearer.
 */
import type { DeflateSide } from './extensions.ts'
import { DictionaryDeflater, DictionaryInflater } from './zlib-dictionary.ts'
import { canUseZlibHandles, HandleDeflater, HandleInflater } from './zlib-handle.ts'

export interface Inflater {
  /** The message of that payload, in memory of its own. */
  inflate(payload: Buffer): Buffer | InflateFault
  /**
   * A block of the last message said that it was the final one. Recipients differ in what they make of the bytes after it, so that
   * payload must not go on as it came.
   */
  readonly sawFinalBlock: boolean
  close(): void
}
export type InflateFault = 'malformed' | 'tooLarge'

export interface Deflater {
  /** The payload for that message, which is not empty; in memory of its own. */
  deflate(message: Uint8Array): Buffer
  close(): void
}

/** Messages longer than that many bytes are not inflated. */
export function createInflater(side: DeflateSide, maxBytes: number): Inflater {
  return canUseZlibHandles ? new HandleInflater(side, maxBytes) : new DictionaryInflater(side, maxBytes)
}

export function createDeflater(side: DeflateSide): Deflater {
  return canUseZlibHandles ? new HandleDeflater(side) : new DictionaryDeflater(side)
}
