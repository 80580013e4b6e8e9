/** Options of `cache`, and what several of them have to agree about. */
import { accessSync, constants, existsSync, statfsSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { memoryFolder } from '../net/memory-folder.ts'
import type { Path } from './positions.ts'
import { isObject, type Plain, type Report, wordOf } from './report.ts'
import type { Parts } from './schema-parts.ts'
import { storeOption } from './schema-stores.ts'
import {
  between,
  callable,
  chosen,
  duration,
  flag,
  list,
  made,
  object,
  oneOf,
  record,
  refused,
  type Schema,
  size,
  sizeFrom,
  someTime,
  text,
  textThat,
  whole,
  wrong,
} from './schema-values.ts'
import { parseSize } from './units.ts'

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const fieldName = textThat((name) => {
  if (!TOKEN.test(name)) return 'not the name of a field'
  return /^(?:authorization|cookie|set-cookie)$/i.test(name) ? `${name} is another one for each client: nothing would be found again` : null
})
const status = textThat((written) =>
  /^[2-5]\d\d$/.test(written) && written !== '206' && written !== '304' ? null : 'not a status that can be kept',
)
const ttl = chosen((value) => (isObject(value) ? record(duration, status) : duration))
const names = list(text)
const only = object({ only: names }, ['only'])
const without = object({ without: names }, ['without'])
const query = chosen((value) => {
  if (isObject(value)) return 'only' in value ? only : without
  return typeof value === 'string' ? oneOf('all', 'sorted', 'none') : wrong("'all', 'sorted', 'none', { only: […] } or { without: […] }")
})
const cacheName = textThat((name) =>
  /^[a-z0-9][a-z0-9._-]{0,63}$/i.test(name) ? null : 'a name has letters, digits, dots and dashes, up to 64',
)

const diskFields = {
  path: text,
  size: sizeFrom('1mb', 'to keep nothing there, leave disk out'),
  timeout: someTime('it is 200ms'),
  maxObject: size,
}
const disk = object(diskFields, ['path'])
const diskTooLarge = object({ ...diskFields, maxObject: refused('more than a quarter of what the disk may take') }, ['path'])

const fields = {
  ...{
    name: cacheName,
    memory: sizeFrom('1kb', 'what is answered goes through it; to keep nothing, leave cache out'),
    shared: sizeFrom('1mb', 'to keep nothing there, leave it out'),
    disk: chosen((value) => (isObject(value) && !isQuarter(value) ? diskTooLarge : disk)),
    store: storeOption,
    maxObject: sizeFrom('1b', 'of bodies up to none nothing is kept; left out, it is 8mb'),
    variants: whole(1, 1024),
    ttl,
    heuristic: between(0, 1),
  },
  ...{ staleWhileRevalidate: duration, staleIfError: duration, query, vary: object({ headers: list(fieldName), cookies: list(text) }) },
  ...{ key: callable, when: callable, bypass: callable, obeyClients: flag, partial: flag, wait: duration },
}
const options = object(fields)
const tooLarge = refused('more than half of the memory: such an object would put everything else out')
const optionsTooLarge = object({ ...fields, maxObject: tooLarge })

export const cacheUse: Schema = made({ options: chosen((value) => (isObject(value) && isTooLarge(value) ? optionsTooLarge : options)) })

function isQuarter({ size: most = '1gb', maxObject }: Plain): boolean {
  const room = typeof most === 'string' ? parseSize(most) : null
  const longest = typeof maxObject === 'string' ? parseSize(maxObject) : null
  return room === null || longest === null || longest <= room / 4
}

function isTooLarge({ memory = '64mb', maxObject }: Plain): boolean {
  const room = typeof memory === 'string' ? parseSize(memory) : null
  const most = typeof maxObject === 'string' ? parseSize(maxObject) : null
  return room !== null && most !== null && most > room / 2
}

interface Place {
  readonly options: Plain
  readonly path: Path
}

export interface CacheChecks extends Pick<Parts, 'listeners' | 'routes'> {
  /** Paths are from here. */
  readonly folder: string
}

/** Uses that share a memory agree about it, a list has one cache, and what is to lie on disk can be written. */
export function checkCaches(config: Plain, { listeners, routes, folder }: CacheChecks, report: Report): void {
  const first = new Map<string, Place>()
  const folders = new Set<string>()
  const lists = [
    { use: config.use, path: ['use'] as Path },
    ...listeners.map(({ options: { use }, path }) => ({ use, path: [...path, 'use'] })),
    ...routes.map(({ route: { use }, path }) => ({ use, path: [...path, 'use'] })),
  ]
  for (const { use, path } of lists) {
    const places = cachesIn(use, path)
    for (const other of places.slice(1))
      report.error(other.path.slice(0, -1), 'a list has one cache: the one before this would never be asked')
    for (const place of places) {
      const name = wordOf(place.options.name ?? 'default')
      checkDisk(place, { folder, folders, report })
      checkShared(place, report)
      for (const field of ['memory', 'shared', 'disk', 'store', 'maxObject', 'variants']) {
        if (place.options[field] === undefined) continue
        const known = first.get(`${name} ${field}`)
        if (known === undefined) first.set(`${name} ${field}`, place)
        else if (JSON.stringify(known.options[field]) !== JSON.stringify(place.options[field]))
          tellOther({ name, field }, known, place, report)
      }
    }
  }
}

interface DiskChecks {
  readonly folder: string
  /** Those that were looked at. */
  readonly folders: Set<string>
  readonly report: Report
}

/** A warning: who checks a config may be somebody else than who runs it. */
function checkDisk({ options: { disk }, path }: Place, { folder, folders, report }: DiskChecks): void {
  if (!isObject(disk) || typeof disk.path !== 'string' || disk.path === '') return
  const wanted = resolve(folder, disk.path)
  if (folders.has(wanted)) return
  folders.add(wanted)
  const why = whyUnwritable(wanted)
  if (why !== null) report.warn([...path, 'disk', 'path'], `nothing will be kept on disk: ${why}`)
}

function checkShared({ options: { shared }, path }: Place, report: Report): void {
  const wanted = typeof shared === 'string' ? parseSize(shared) : null
  if (wanted === null) return
  const free = freeMemory()
  const why = free === null ? 'this system has no /dev/shm' : free < wanted ? 'less than that is free in /dev/shm' : null
  if (why !== null) report.warn([...path, 'shared'], `the workers will have less memory in common, or none: ${why}`)
}

/** Bytes; null: there is no memory that can be shared. */
function freeMemory(): number | null {
  const folder = memoryFolder()
  if (folder === null) return null
  const { bavail, bsize } = statfsSync(folder)
  return bavail * bsize
}

/** Of a folder that may still have to be made. */
function whyUnwritable(wanted: string): string | null {
  let there = wanted
  while (!existsSync(there) && dirname(there) !== there) there = dirname(there)
  if (!statSync(there).isDirectory()) return `${there} is no folder`
  try {
    accessSync(there, constants.W_OK | constants.X_OK)
    return null
  } catch {
    return `${there} cannot be written by this user`
  }
}

function tellOther({ name, field }: { readonly name: string; readonly field: string }, known: Place, place: Place, report: Report): void {
  report.error(
    [...place.path, field],
    (placeOf) => `${field} of the cache ${name} is another one at ${placeOf(known.path.slice(0, -1))}: give one of them another name`,
  )
}

function cachesIn(use: unknown, path: Path): Place[] {
  if (!Array.isArray(use)) return []
  return use.flatMap((entry: unknown, i) =>
    isObject(entry) && entry.kind === 'policy' && entry.name === 'cache' && isObject(entry.options)
      ? [{ options: entry.options, path: [...path, i, { hidden: 'options' }] }]
      : [],
  )
}
