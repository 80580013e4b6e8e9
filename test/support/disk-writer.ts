/** A process that does nothing but keep answers on disk, until it is killed. What each is to say is told by its URL. */
import { hash } from 'node:crypto'
import { BodySource } from '../../core/cache/body-source.ts'
import { DiskTier } from '../../core/cache/disk/disk-tier.ts'
import { readFreshness } from '../../core/cache/freshness.ts'
import { makeHead, StoredResponse } from '../../core/cache/stored-response.ts'
import type { TierHome } from '../../core/cache/tier.ts'

/** Of any length, and never the same for two numbers. */
export function bodyOf(number: number): Buffer {
  const seed = hash('sha256', String(number))
  return Buffer.alloc(Number.parseInt(seed.slice(0, 5), 16) % 300_000, seed)
}

export function answerOf(number: number): StoredResponse {
  const bytes = bodyOf(number)
  const body = new BodySource(bytes.length)
  body.push(bytes, 0, bytes.length)
  body.complete()
  const lines = `Cache-Control: max-age=3600\r\nX-Number: ${number}\r\n`
  const freshness = readFreshness(makeHead(200, lines, bytes.length), Date.now(), Date.now(), {
    ...{ ttl: new Map(), heuristic: 0, staleWhileRevalidate: 0, staleIfError: 0 },
  })
  const response = new StoredResponse({
    ...{ key: `key ${number}`, url: `http://x/${number}`, vary: null, variant: '', status: 200, lines, freshness },
    ...{ etag: null, tags: [`t${number % 10}`], isForAll: false, body, length: bytes.length },
  })
  response.seal()
  return response
}

export function openDisk(path: string, bytes: number): DiskTier {
  const home: TierHome = {
    clock: Date.now,
    variants: 16,
    hasRoom: () => true,
    lost: () => {},
    warn: (text) => process.stderr.write(`${text}\n`),
  }
  return new DiskTier('default', { kind: 'disk', path, bytes, timeoutMs: 1000, largeBytes: 0 }, home, () => {})
}

const [path, first] = process.argv.slice(2)
if (import.meta.main && path !== undefined) {
  const disk = openDisk(path, 40 * 1024 ** 2)
  for (let number = Number(first); ; number++) {
    disk.keep(answerOf(number))
    if (number % 4 === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    if (number % 20 === 0) {
      await disk.settled()
      process.stdout.write(`${number}\n`)
    }
  }
}
