/** What an answer is in the index of a disk. Pure. */
import { hash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { RequestHead } from '../../net/http1/head.ts'
import { selectVariant } from '../memory-store.ts'
import { packHead } from '../packed.ts'
import type { StoredResponse } from '../stored-response.ts'
import type { ListedRow, Row } from './disk-index.ts'
import { fileBytes } from './object-file.ts'

/** What an answer takes beside its file: its row, and what of the last block of the file system is empty. */
const OVERHEAD_BYTES = 4096

export function hashOf(key: string): Uint8Array {
  return hash('sha256', key, 'buffer').subarray(0, 16)
}

export function varyText({ vary }: Pick<StoredResponse, 'vary'>): string | null {
  return vary === null ? null : vary.join()
}

/** A head belongs to one body. */
export function checksumOf(head: string, file: string): number {
  return crc32(head, crc32(file))
}

export function headRow(response: StoredResponse, file: string) {
  const head = packHead(response)
  const { bornAt, lifetime } = response.freshness
  return { born: Math.floor(bornAt), lifetime, head, checksum: checksumOf(head, file) }
}

export function rowOf(response: StoredResponse, file: string) {
  const { url, variant, length, status, tags } = response
  return {
    ...headRow(response, file),
    ...{ key: hashOf(response.key), vary: varyText(response), variant, url, file, length, status, tags },
    size: Math.ceil(fileBytes(length) / 4096) * 4096 + OVERHEAD_BYTES,
  }
}

/** Of those of one key, the newest that this request may get; null: there is none. */
export function rowFor(rows: readonly Row[], request: Pick<RequestHead, 'get'>): Row | null {
  if (rows.length === 0) return null
  const variants = rows.map((row) => ({ row, vary: row.vary === null ? null : row.vary.split(','), variant: row.variant }))
  return selectVariant(variants, request)?.row ?? null
}

export function listedOf({ url, variant, status, length, born, lifetime, purged }: ListedRow, now: number) {
  const age = Math.max(0, Math.floor((now - born) / 1000))
  const ttl = Math.min(lifetime - age, purged === null ? Number.POSITIVE_INFINITY : -Math.floor((now - purged) / 1000))
  return { url, status, bytes: length, age, ttl, hits: 0, variant }
}
