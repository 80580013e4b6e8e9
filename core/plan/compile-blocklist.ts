/** The options of a block list → BlocklistPlan: names in the form they are looked up in, files by their whole path. */
import { basename } from 'node:path'
import { domainToASCII } from 'node:url'
import { fileOfList, nameOfList } from '../config/list-files.ts'
import { entriesOf, toList } from '../config/lists.ts'
import { parseDuration } from '../config/units.ts'
import type { BlocklistOptions, ListFile, ListUrl } from '../index.ts'
import { formatIpv6, parseIpv6 } from '../net/address.ts'
import { resolveFile } from './compile-upstream.ts'
import type { BlocklistPlan, FetchedListPlan, ListFilePlan } from './forward-plan.ts'

export function compileBlocklist({ name, hosts, allow, files, urls, storage }: BlocklistOptions, folder: string): BlocklistPlan {
  return Object.freeze({
    name: name ?? 'hosts',
    hosts: Object.freeze(toList(hosts ?? []).map(inAscii)),
    allow: Object.freeze(toList(allow ?? []).map(inAscii)),
    files: Object.freeze([
      ...entriesOf<string | ListFile>(files).map(([, one]): ListFilePlan => {
        const { file, name } = typeof one === 'string' ? { file: one } : one
        return Object.freeze({ name: name ?? basename(file), file: resolveFile(folder, file), fetched: null })
      }),
      ...entriesOf<string | ListUrl>(urls).map(([, one]): ListFilePlan => {
        const { url, name, every = '1d' } = typeof one === 'string' ? { url: one } : one
        const file = fileOfList(url, storage, folder)
        const fetched = Object.freeze({ url, file, everyMs: parseDuration(every)! })
        return Object.freeze({ name: name ?? nameOfList(url), file, fetched })
      }),
    ]),
  })
}

/** Each once; one that several lists have is asked for as often as the most eager of them says. */
export function fetchedListsOf(plans: readonly BlocklistPlan[]): readonly FetchedListPlan[] {
  const byFile = new Map<string, FetchedListPlan>()
  for (const { fetched } of plans.flatMap(({ files }) => files)) {
    if (fetched === null) continue
    const known = byFile.get(fetched.file)
    if (known === undefined || known.everyMs > fetched.everyMs) byFile.set(fetched.file, fetched)
  }
  return [...byFile.values()]
}

function inAscii(written: string): string {
  const [, before = '', name = written, after = ''] = /^(\|\||\*\.)?(.*?)(\^)?$/.exec(written) ?? []
  return before + canonicalHost(name) + after
}

function canonicalHost(name: string): string {
  if (parseIpv6(name, words)) return formatIpv6(words)
  return (/^[\x20-\x7e]*$/.test(name) ? name.toLowerCase() : domainToASCII(name)).replace(/\.$/, '')
}

const words = new Uint16Array(8)
