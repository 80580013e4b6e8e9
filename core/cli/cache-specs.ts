/** `sluice cache …`, as the parser reads it and the help tells it. Data alone. */
import type { CommandSpec, OptionSpec } from './arguments.ts'
import { controlVariable, json, ok, usage, whichAbout, whichOptions } from './shared-options.ts'

const cacheName: OptionSpec = { name: 'cache', value: 'NAME', help: 'of the cache of that name alone (default: all)' }

export const cachePurge: CommandSpec = {
  name: 'cache purge',
  operands: { least: 0, most: 1 },
  usage: [
    'cache purge URL [options]',
    'cache purge --host HOST [options]',
    'cache purge --tag TAG [options]',
    'cache purge --all [options]',
  ],
  summary: 'take answers out of the caches of a running proxy',
  about:
    'All workers do it in one step; what is being fetched meanwhile is not kept. A URL as it was asked for, https://example.com/a?b=1, with the query as the ' +
    `cache has it, is one answer in all its variants; with a * at its end, all that begin so. ${whichAbout}`,
  options: [
    { name: 'host', value: 'HOST', help: 'all of a host, with its port if it has one' },
    { name: 'tag', value: 'TAG', help: 'all that carry that Cache-Tag or Surrogate-Key' },
    { name: 'all', help: 'everything' },
    { name: 'soft', help: 'they stay, stale: they are asked about, and stand in for errors' },
    cacheName,
    ...whichOptions,
    json,
  ],
  examples: [
    ['sluice cache purge https://example.com/news', 'one page'],
    ["sluice cache purge 'https://example.com/assets/*'", 'a folder'],
    ['sluice cache purge --tag product-7 --soft', 'what is about a product, as soon as it was asked about'],
  ],
  exits: [ok, [1, 'no such proxy is running, it has no such cache, or a worker did not answer'], usage],
  environment: [controlVariable],
}

export const cacheList: CommandSpec = {
  name: 'cache ls',
  operands: { least: 0, most: 1 },
  usage: ['cache ls [PREFIX] [options]'],
  summary: 'what the caches of a running proxy keep',
  about: `A line for each answer that a worker keeps in memory, or the disk for all of them: status, size, freshness, hits, where, URL. ${whichAbout}`,
  options: [{ name: 'most', value: 'N', help: 'so many lines, up to 1000 (default: 100)' }, cacheName, ...whichOptions, json],
  examples: [['sluice cache ls https://example.com/assets/', 'what begins so']],
  exits: [ok, [1, 'no such proxy is running, or it has no such cache'], usage],
  environment: [controlVariable],
}

export const cacheStat: CommandSpec = {
  name: 'cache stat',
  operands: { least: 0, most: 0 },
  usage: ['cache stat [options]'],
  summary: 'how full the caches of a running proxy are',
  about:
    'A line for each cache: answers, bytes and room of all workers together, what was evicted and purged; below it what is on disk, how often it had what a ' +
    `memory had not, and how often it failed. ${whichAbout}`,
  options: [cacheName, ...whichOptions, json],
  examples: [['sluice cache stat', 'of the proxy of this folder, or the only one']],
  exits: [ok, [1, 'no such proxy is running, or it has no such cache'], usage],
  environment: [controlVariable],
}

export const cacheWarm: CommandSpec = {
  name: 'cache warm',
  operands: { least: 1, most: 10_000 },
  usage: ['cache warm FILE|URL… [options]'],
  summary: 'ask for a list of URLs, so that caches have them',
  about:
    'Sends a GET for each URL, by way of DNS or to the address you name, and tells what the caches made of it. A file has one URL a line, # begins a comment, - is ' +
    'standard input. Each request gets to one worker: others have what it fetched if the cache has shared memory, a disk or a store.',
  options: [
    { name: 'to', value: 'HOST:PORT', help: 'connect there, whatever the host of a URL, as to a proxy that DNS does not name yet' },
    { name: 'concurrency', value: 'N', help: 'so many requests at once, up to 256 (default: 4)' },
    { name: 'accept-encoding', value: 'LIST', help: 'what the requests accept, gzip say (default: nothing is said)' },
    { name: 'timeout', value: 'DURATION', help: 'for each answer (default: 30s)' },
    { name: 'insecure', help: 'whatever certificate there is will do' },
    json,
  ],
  examples: [
    ['sluice cache warm https://example.com/ https://example.com/news', 'two pages'],
    ['sluice cache warm urls.txt --to 127.0.0.1:8080 --concurrency 16', 'a list, before DNS names this proxy'],
  ],
  exits: [ok, [1, 'some could not be had: no answer, or one from 400 on'], usage],
  environment: [],
}
