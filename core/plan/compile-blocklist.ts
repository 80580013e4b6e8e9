/** The options of a block list → BlocklistPlan: names in the form they are looked up in, files by their whole path. */
import { basename } from 'node:path'
import { domainToASCII } from 'node:url'
import { entriesOf, toList } from '../config/lists.ts'
import type { BlocklistOptions, ListFile } from '../index.ts'
import { formatIpv6, parseIpv6 } from '../net/address.ts'
import { resolveFile } from './compile-upstream.ts'
import type { BlocklistPlan } from './plan.ts'

export function compileBlocklist({ name, hosts, allow, files }: BlocklistOptions, folder: string): BlocklistPlan {
  return Object.freeze({
    name: name ?? 'hosts',
    hosts: Object.freeze(toList(hosts ?? []).map(inAscii)),
    allow: Object.freeze(toList(allow ?? []).map(inAscii)),
    files: Object.freeze(
      entriesOf<string | ListFile>(files).map(([, one]) => {
        const { file, name } = typeof one === 'string' ? { file: one } : one
        return Object.freeze({ name: name ?? basename(file), file: resolveFile(folder, file) })
      }),
    ),
  })
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
