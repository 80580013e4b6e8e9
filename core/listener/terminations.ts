/**
 * Several certificates of one listener: each name gets the certificates that cover it, one of each kind of key, in a context of its
 * own; the first certificate is for every other name.
 */
import { X509Certificate } from 'node:crypto'
import { keyKind, namesOf } from '../net/certificate-names.ts'
import { NameTable } from '../net/name-table.ts'
import type { TicketKeys } from '../net/ticket-keys.ts'
import { makeTermination, type Termination, type TerminationTexts } from './termination.ts'

export interface OneTerminationTexts extends TerminationTexts {
  readonly cert: string
  readonly key: string
}

interface Entry {
  readonly texts: OneTerminationTexts
  readonly names: readonly string[]
  readonly kind: string
}

/** Throws as `makeTermination` does. */
export function makeTerminations(list: readonly OneTerminationTexts[], ticketKeys: TicketKeys | null = null): Termination {
  const [first] = list
  if (first === undefined) throw new Error('there is no certificate')
  if (list.length === 1) return makeTermination(first, ticketKeys)
  const entries = list.map((texts): Entry => {
    const certificate = new X509Certificate(texts.cert)
    return { texts, names: namesOf(certificate), kind: keyKind(certificate) }
  })
  const made = new Map<string, Termination>()
  const terminationOf = (group: readonly Entry[]): Termination => {
    const key = group.map((entry) => entries.indexOf(entry)).join()
    const known = made.get(key) ?? { ...makeTermination(textsOf(group), ticketKeys), served: servedBy(group) }
    made.set(key, known)
    return known
  }
  const others = new NameTable<Termination>()
  for (const [name, group] of groupByName(entries)) others.set(name, terminationOf(group))
  const [name] = entries[0]!.names
  const byDefault = (name === undefined ? null : others.find(name)) ?? {
    ...makeTermination(first, ticketKeys),
    served: servedBy(entries.slice(0, 1)),
  }
  return { ...byDefault, others }
}

/** Which certificate of a group a client gets is not known: the names that all of them have. */
function servedBy(group: readonly Entry[]): NameTable<true> {
  const served = new NameTable<true>()
  const [first] = group
  for (const name of first!.names) if (group.every(({ names }) => names.includes(name))) served.set(name, true)
  return served
}

/** Of two with the same kind of key the first counts. */
function groupByName(entries: readonly Entry[]): Map<string, Entry[]> {
  const groups = new Map<string, Entry[]>()
  for (const entry of entries)
    for (const name of entry.names) {
      const group = groups.get(name) ?? []
      if (!group.some(({ kind }) => kind === entry.kind)) group.push(entry)
      groups.set(name, group)
    }
  return groups
}

/** What is not of one certificate alone is what the first of them says; a staple is, and which of them a client gets is not known. */
function textsOf(group: readonly Entry[]): TerminationTexts {
  const [first, second] = group
  if (second === undefined) return first!.texts
  return { ...first!.texts, cert: group.map(({ texts }) => texts.cert), key: group.map(({ texts }) => texts.key), staple: null }
}
