/** `sluice cache purge`, `ls` and `stat`: what they ask of a running proxy, and what they print. */
import type { CacheAsk, CacheTold } from '../cache/asks.ts'
import type { CacheCounts, ListedResponse, TierCounts } from '../cache/counts.ts'
import { nearest } from '../config/nearest.ts'
import { askOnce, type Choice, ControlError, chooseProxy } from './control-client.ts'
import { tellingErrors } from './control-commands.ts'
import { exitCodes } from './exit-codes.ts'

export async function runCache(choice: Choice, ask: CacheAsk, { json }: { readonly json: boolean }): Promise<number> {
  return tellingErrors(async () => {
    const { told } = await askOnce(await chooseProxy(choice), { do: 'cache', ask }, 'cache')
    if (ask.cache !== null && told.counts.length === 0) throw new ControlError(noCache(ask.cache, told.names))
    process.stdout.write(json ? `${JSON.stringify(told)}\n` : formatTold(ask, told))
    for (const problem of told.problems) process.stderr.write(`sluice: ${problem}\n`)
    return told.problems.length === 0 ? exitCodes.ok : exitCodes.failed
  })
}

export function formatTold(ask: CacheAsk, { counts, purged, listed }: CacheTold): string {
  if (counts.length === 0) return 'the config has no cache\n'
  switch (ask.kind) {
    case 'purge':
      return `${purged} ${purged === 1 ? 'answer' : 'answers'} ${ask.purge.soft ? 'made stale' : 'purged'}\n`
    case 'list':
      return listed.map(formatListed).join('')
    case 'stat':
      return counts.map(formatCounts).join('')
  }
}

export function noCache(name: string, names: readonly string[]): string {
  const meant = nearest(name, names)
  if (meant !== null) return `there is no cache ${name}; did you mean ${meant}?`
  return `there is no cache ${name}; ${names.length === 0 ? 'the config has none' : `there is ${names.join(', ')}`}`
}

function formatListed({ status, bytes, ttl, hits, where, url }: ListedResponse): string {
  return `${status} ${size(bytes).padStart(8)} ${freshness(ttl).padEnd(14)} ${hits} hits  ${where.padEnd(6)}  ${url}\n`
}

function formatCounts({ name, objects, bytes, maxBytes, evictions, purged, tiers }: CacheCounts): string {
  const memory = `${name}: ${objects} answers, ${size(bytes)} of ${size(maxBytes)}, ${evictions} evicted, ${purged} purged\n`
  return memory + tiers.map(formatTier).join('')
}

function formatTier({ tier, objects, bytes, maxBytes, evictions, found, failed }: TierCounts): string {
  const room = objects === null ? '' : `${objects} answers, ${size(bytes ?? 0)} of ${size(maxBytes ?? 0)}, ${evictions} evicted, `
  return `  ${tier}: ${room}${found} found there, ${failed} failures\n`
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
