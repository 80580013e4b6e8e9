/** The request as routes and the user's own functions see it: lazily read from the head, never a copy of all of it. */
import { cookieIn } from './net/http1/cookie.ts'
import type { RequestHead } from './net/http1/head.ts'
import type { HeadersView, QueryView, RequestView } from './plugin.ts'
import type { RouteRequest } from './route/conditions.ts'

/** What routes are matched against. */
export class RequestFacts implements RouteRequest {
  readonly method: string
  readonly path: string
  readonly search: string
  readonly ip: string
  readonly #head: RequestHead

  constructor(head: RequestHead, ip: string) {
    this.method = head.method
    this.path = head.path
    this.search = head.search
    this.ip = ip
    this.#head = head
  }

  get host(): string {
    return hostName(this.#head.host)
  }

  field(lowerName: string): string | null {
    return this.#head.get(lowerName)
  }

  view(): RequestView {
    return makeRequestView(this.#head, this.ip)
  }
}

export function makeRequestView(head: RequestHead, ip: string): RequestView {
  return {
    method: head.method,
    path: head.path,
    search: head.search,
    host: head.host,
    ip,
    headers: head,
    clientCertificate: head.clientCertificate,
    get query() {
      return queryView(head.search)
    },
    get cookies() {
      return cookieView(head)
    },
  } satisfies RequestView & { headers: HeadersView }
}

let lastAuthority = ''
let lastName = ''

/** Lower case, without the port and the dot of the root: connections ask for the same host again and again. */
export function hostName(authority: string): string {
  if (authority === lastAuthority) return lastName
  lastAuthority = authority
  lastName = authority.toLowerCase().replace(/\.?(?::\d+)?$/, '')
  return lastName
}

export function queryView(search: string): QueryView {
  const params = new URLSearchParams(search)
  return { get: (name) => params.get(name), has: (name) => params.has(name) }
}

function cookieView(head: RequestHead): QueryView {
  return { get: (name) => cookieOf(head, name), has: (name) => cookieOf(head, name) !== null }
}

export function cookieOf(head: RequestHead, name: string): string | null {
  return cookieIn(head.get('cookie'), name)
}
