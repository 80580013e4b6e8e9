/** Block lists: their shape, that their files can be read, and what of these is not understood. */
import { resolve } from 'node:path'
import { scanList, whyUnreadable } from '../blocking/blocklist.ts'
import type { ListReader } from '../blocking/list-reader.ts'
import { isHostName, isIp } from '../net/address.ts'
import { fileOfList } from './list-files.ts'
import type { Path } from './positions.ts'
import { isObject, type Report, show } from './report.ts'
import type { ListenerPart } from './schema-parts.ts'
import { chosen, duration, list, object, oneOrMany, type Schema, text, textThat, wrong } from './schema-values.ts'
import { parseDuration } from './units.ts'

const blockedHost = textThat((written) => {
  const name = written.replace(/^(?:\|\||\*\.)/, '').replace(/\^$/, '')
  if (written.endsWith('^') && !written.startsWith('||')) return `a ^ belongs to '||${name}^', which stands for a name and all under it`
  if (isHostName(name) || isIp(name)) return null
  const isUnicode = /[^\x00-\x7f]/.test(name) && !/[\x00-\x2c/:-@[-^`{-\x7f]/.test(name)
  return isUnicode ? null : `expected a name, as in 'example.com', '*.example.com' or '||example.com^', got ${show(written)}`
})

const listFile = chosen((value) => (typeof value === 'string' ? text : isObject(value) ? namedFile : notAFile))
const namedFile = object({ file: text, name: text }, ['file'])
const notAFile = wrong("a file such as './ads.txt' or { file, name }")

const listUrl = chosen((value) => (typeof value === 'string' ? webUrl : isObject(value) ? namedUrl : notAUrl))
const webUrl = textThat((written) => {
  const url = URL.parse(written)
  if (url === null || !/^https?:$/.test(url.protocol)) return `expected a URL such as 'https://example.com/ads.txt', got ${show(written)}`
  return url.username === '' && url.password === '' ? null : 'a list is fetched without a user: take it out of the URL'
})
const every = chosen((value) => (typeof value === 'string' && parseDuration(value) !== null ? oftenEnough : duration))
const oftenEnough = textThat((written) =>
  (parseDuration(written) ?? 0) >= 60_000 ? null : `a list is asked for once a minute at most, got ${show(written)}`,
)
const namedUrl = object({ url: webUrl, name: text, every }, ['url'])
const notAUrl = wrong("a URL such as 'https://example.com/ads.txt' or { url, name, every }")

export const blocklistOptions: Schema = object({
  files: list(listFile),
  urls: list(listUrl),
  storage: text,
  hosts: oneOrMany(blockedHost),
  allow: oneOrMany(blockedHost),
  name: text,
})

export interface ListOptions {
  /** Paths are from here. */
  readonly folder: string
  /** Gets the absolute path of every file that is asked for. */
  readonly named: Set<string>
}

export function checkBlocklists(listeners: readonly ListenerPart[], report: Report, options: ListOptions): void {
  const scanned = new Map<string, ListReader | string>()
  const seen = new Set<unknown>()
  for (const { options: listener, path } of listeners) {
    const { block } = listener
    if (!isObject(block) || !isObject(block.options) || seen.has(block)) continue
    seen.add(block)
    const at: Path = [...path, 'block', { hidden: 'options' }]
    const { files, hosts, urls, storage } = block.options
    if (Array.isArray(urls)) for (const url of urls) nameFile(url, storage, options)
    if (Array.isArray(files)) for (const [i, file] of files.entries()) checkFile(file, [...at, 'files', i], { ...options, report, scanned })
    const isEmpty = hosts === undefined && [files, urls].every((list) => !Array.isArray(list) || list.length === 0)
    if (isEmpty) report.warn(at, 'this list blocks nothing: it has neither files nor urls nor hosts')
  }
}

/** It is read when it has come, and again when it is another one; what is in it is not of the config. */
function nameFile(entry: unknown, storage: unknown, { folder, named }: ListOptions): void {
  const url = isObject(entry) ? entry.url : entry
  const isKept = storage === undefined || (typeof storage === 'string' && storage !== '')
  if (typeof url === 'string' && URL.canParse(url) && isKept) named.add(fileOfList(url, storage as string | undefined, folder))
}

interface Scanning extends ListOptions {
  readonly report: Report
  /** By path; why not, as a sentence. */
  readonly scanned: Map<string, ListReader | string>
}

function checkFile(entry: unknown, path: Path, { report, folder, named, scanned }: Scanning): void {
  const written = isObject(entry) ? entry.file : entry
  if (typeof written !== 'string' || written === '') return
  const file = resolve(folder, written)
  named.add(file)
  const found = scanned.get(file) ?? scan(file)
  scanned.set(file, found)
  const at: Path = isObject(entry) ? [...path, 'file'] : path
  if (typeof found === 'string') return report.error(at, found)
  if (found.names === 0) report.warn(at, `there is no name in ${file}: nothing is blocked by it`)
  if (found.bad > 0) report.warn(at, whatIsBad(file, found))
}

function scan(file: string): ListReader | string {
  try {
    return scanList(file)
  } catch (error) {
    return whyUnreadable(file, error)
  }
}

function whatIsBad(file: string, { bad, badLines }: ListReader): string {
  const told = badLines.map(({ line, text }) => `${file}:${line} ${show(text)}`).join(', ')
  const more = bad > badLines.length ? ` and ${bad - badLines.length} more` : ''
  return `${bad === 1 ? '1 line is' : `${bad} lines are`} not understood and left out: ${told}${more}`
}
