/** What one config changed of another: counted, and as the words of the line that tells of a reload. Pure. */
import type { ListenerPart, Part, Parts } from './parts.ts'

export interface Changes {
  readonly added: number
  readonly removed: number
  readonly changed: number
}

export interface Difference {
  readonly listeners: Changes & {
    /** Under another name at the same address. */
    readonly renamed: number
    /** At other addresses. */
    readonly moved: number
    /** TLS came or went. */
    readonly secured: number
  }
  readonly routes: Changes
  /** The same routes in another order. */
  readonly isReordered: boolean
  readonly upstreams: Changes
  readonly plugins: Changes
  readonly certificates: Changes
  /** Files of block lists. */
  readonly lists: Changes
  /** Files of users. */
  readonly users: Changes
  readonly settings: readonly string[]
  /** The code is another one: a function may do other things. */
  readonly isOtherCode: boolean
}

export function compareParts(before: Parts, after: Parts): Difference {
  const routes = compare(before.routes, after.routes)
  return {
    listeners: compareListeners(before.listeners, after.listeners),
    routes,
    isReordered: isNone(routes) && before.routes.some(({ content }, i) => after.routes[i]?.content !== content),
    upstreams: compare(before.upstreams, after.upstreams),
    plugins: compare(before.plugins, after.plugins),
    certificates: compare(...inBoth(before.certificates, after.certificates)),
    lists: compare(...inBoth(before.lists, after.lists)),
    users: compare(...inBoth(before.users, after.users)),
    settings: after.settings.filter(({ content }, i) => before.settings[i]?.content !== content).map(({ id }) => id),
    isOtherCode: before.code !== after.code,
  }
}

/** What came or went did so with its listener. */
function inBoth(before: readonly Part[], after: readonly Part[]): [before: readonly Part[], after: readonly Part[]] {
  const isIn = (parts: readonly Part[]) => {
    const ids = new Set(parts.map(({ id }) => id))
    return ({ id }: Part): boolean => ids.has(id)
  }
  return [before.filter(isIn(after)), after.filter(isIn(before))]
}

/** `2 routes changed, 1 listener added`; `nothing changed`. */
export function describeDifference(difference: Difference): string {
  const { listeners } = difference
  const words = [
    ...inWords('listener', listeners),
    ...counted(listeners.renamed, 'listener', 'renamed'),
    ...counted(listeners.moved, 'listener', 'moved'),
    ...counted(listeners.secured, 'listener', 'between TLS and plain text'),
    ...inWords('route', difference.routes),
    ...(difference.isReordered ? ['routes in another order'] : []),
    ...inWords('upstream', difference.upstreams),
    ...inWords('plugin', difference.plugins),
    ...inWords('certificate', difference.certificates),
    ...inWords('block list', difference.lists),
    ...inWords('file of users', difference.users),
    ...difference.settings.map((name) => `${name} changed`),
  ]
  if (words.length > 0) return words.join(', ')
  return difference.isOtherCode ? 'code changed' : 'nothing changed'
}

/** Nothing of the config's data: at most what its functions know. */
export function isOfNoData(difference: Difference): boolean {
  return /^(?:code|nothing) changed$/.test(describeDifference(difference))
}

/** What is the same counts as the same wherever it stands; of the rest, what has the same id has changed. */
function compare(before: readonly Part[], after: readonly Part[]): Changes {
  const gone = unmatched(before, after)
  const come = unmatched(after, before)
  const ids = new Set(gone.map(({ id }) => id))
  const changed = come.filter(({ id }) => ids.has(id)).length
  return { added: come.length - changed, removed: gone.length - changed, changed }
}

/** Those of `parts` that `others` does not have, equal ones counted. */
function unmatched(parts: readonly Part[], others: readonly Part[]): Part[] {
  const left = new Map<string, number>()
  for (const { content } of others) left.set(content, (left.get(content) ?? 0) + 1)
  return parts.filter(({ content }) => {
    const count = left.get(content) ?? 0
    left.set(content, count - 1)
    return count <= 0
  })
}

function compareListeners(before: readonly ListenerPart[], after: readonly ListenerPart[]): Difference['listeners'] {
  const known = new Map(before.map((listener) => [listener.id, listener]))
  const names = new Set(after.map(({ id }) => id))
  const gone = new Set(before.filter(({ id }) => !names.has(id)))
  const counts = { added: 0, removed: 0, changed: 0, renamed: 0, moved: 0, secured: 0 }
  for (const listener of after) {
    const same = known.get(listener.id)
    const renamed = same === undefined ? [...gone].find((other) => isRenamed(other, listener)) : undefined
    const other = same ?? renamed
    if (other === undefined) {
      counts.added++
      continue
    }
    gone.delete(other)
    if (renamed !== undefined) counts.renamed++
    if (other.isSecure !== listener.isSecure) counts.secured++
    else if (other.content !== listener.content) counts.changed++
    if (renamed === undefined && other.addresses.join() !== listener.addresses.join()) counts.moved++
  }
  counts.removed = gone.size
  return counts
}

function isRenamed(before: ListenerPart, after: ListenerPart): boolean {
  return before.isSecure === after.isSecure && before.addresses.some((address) => after.addresses.includes(address))
}

function isNone({ added, removed, changed }: Changes): boolean {
  return added + removed + changed === 0
}

function inWords(what: string, { added, removed, changed }: Changes): string[] {
  return [...counted(changed, what, 'changed'), ...counted(added, what, 'added'), ...counted(removed, what, 'removed')]
}

function counted(count: number, what: string, done: string): string[] {
  return count === 0 ? [] : [`${count} ${what}${count === 1 ? '' : 's'} ${done}`]
}
