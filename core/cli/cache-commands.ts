/** `sluice cache purge`, `ls` and `stat`: what they ask of a running proxy, and what they print. */
import type { CacheAsk, CacheTold } from '../cache/asks.ts'
import { askOnce, type Choice, chooseProxy } from './control-client.ts'
import { tellingErrors } from './control-commands.ts'
import { exitCodes } from './exit-codes.ts'

export async function runCache(choice: Choice, ask: CacheAsk, { json }: { readonly json: boolean }): Promise<number> {
  return tellingErrors(async () => {
    const { told } = await askOnce(await chooseProxy(choice), { do: 'cache', ask }, 'cache')
    process.stdout.write(json ? `${JSON.stringify(told)}\n` : formatTold(ask, told))
    return exitCodes.ok
  })
}

export function formatTold(ask: CacheAsk, { counts, purged, listed }: CacheTold): string {
  if (counts.length === 0) return `${ask.cache === null ? 'the config has no cache' : `there is no cache ${ask.cache}`}\n`
  switch (ask.kind) {
    case 'purge':
      return `${purged} ${purged === 1 ? 'answer' : 'answers'} ${ask.purge.soft ? 'made stale' : 'purged'}\n`
    case 'list':
      return listed
        .map((one) => `${one.status} ${size(one.bytes).padStart(8)} ${freshness(one.ttl).padEnd(14)} ${one.hits} hits  ${one.url}\n`)
        .join('')
    case 'stat':
      return counts
        .map(({ name, objects, bytes, maxBytes, evictions, purged: gone }) => {
          const room = `${size(bytes)} of ${size(maxBytes)}`
          return `${name}: ${objects} answers, ${room}, ${evictions} evicted, ${gone} purged\n`
        })
        .join('')
  }
}

function freshness(ttl: number): string {
  return ttl > 0 ? `fresh ${ttl} s` : `stale ${-ttl} s`
}

function size(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`
  const units = ['KB', 'MB', 'GB']
  const at = Math.min(units.length, Math.floor(Math.log2(bytes) / 10))
  return `${(bytes / 1024 ** at).toFixed(1)} ${units[at - 1]}`
}
