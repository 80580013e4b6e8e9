/** Where a cache keeps what is answered to a route: apart from other routes, and in the same place as long as the same requests go to the same place. */
import { hash } from 'node:crypto'
import { dataOf } from '../config/data.ts'
import { toList } from '../config/lists.ts'
import type { HttpRoute } from '../index.ts'
import type { Destination } from './plan.ts'

/** What of a route or a group decides which requests get there. */
export function matchOf({ host, path, method, headers, query, cookies, from, when }: HttpRoute): unknown {
  // A method is no other resource: what one changes, the other has kept.
  return { host, path, isMethod: method === undefined || toList(method).some(isRead), headers, query, cookies, from, when }
}

function isRead(method: string): boolean {
  return /^(?:get|head)$/i.test(method)
}

/** Upstreams by their names: what one consists of changes nothing of what it says. */
export function spaceOf(matches: readonly unknown[], destination: Destination): string {
  const to =
    destination.kind === 'upstream'
      ? [destination.upstream.name, destination.rewrite]
      : destination.kind === 'split'
        ? [destination.parts.map(({ upstream }) => upstream.name), destination.rewrite]
        : []
  return hash('sha1', dataOf([matches, to]).join('\n'), 'base64url').slice(0, 16)
}
