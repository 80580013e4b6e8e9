/** The match fields of a route or a group, as a config writes them → conditions, as routes are matched by. For fields that were found valid. */
import type { FieldMatch, HttpMatch, OneOrMany, TcpRoute } from '../index.ts'
import { CidrSet } from '../net/cidr.ts'
import type { Conditions, FieldTest } from '../route/conditions.ts'
import { compilePath } from '../route/pattern.ts'
import type { TcpConditions } from '../route/tcp-table.ts'
import { toList } from './lists.ts'

export function compileMatch(match: HttpMatch): Conditions {
  return {
    hosts: match.host === undefined ? null : compileHosts(match.host),
    paths: match.path === undefined ? null : toList(match.path).flatMap(compilePath),
    methods: match.method === undefined ? null : toList(match.method).map((method) => method.toUpperCase()),
    headers: compileFields(match.headers).map(([name, test]) => [name.toLowerCase(), test] as const),
    query: compileFields(match.query),
    cookies: compileFields(match.cookies),
    from: match.from === undefined ? null : new CidrSet(toList(match.from)),
    when: match.when ?? null,
  }
}

/** Of a route of TCP, or of one of UDP. */
export function compileTcpMatch({ sni, alpn, from, tls }: Pick<TcpRoute, 'sni' | 'alpn' | 'from' | 'tls'>): TcpConditions {
  return {
    sni: sni === undefined ? null : compileHosts(sni),
    alpn: alpn === undefined ? null : toList(alpn),
    from: from === undefined ? null : new CidrSet(toList(from)),
    isTls: sni !== undefined || alpn !== undefined || tls !== undefined,
  }
}

/** Null: `*` among them takes every host. Names above ASCII are written as they are sent. */
export function compileHosts(hosts: OneOrMany<string>): readonly string[] | null {
  const list = toList(hosts)
  if (list.includes('*')) return null
  return list.map((host) => (/^[\x20-\x7e]*$/.test(host) ? host.toLowerCase() : toAscii(host)))
}

function toAscii(host: string): string {
  const isWild = host.startsWith('*.')
  const { hostname } = new URL(`http://${isWild ? host.slice(2) : host}`)
  return isWild ? `*.${hostname}` : hostname
}

function compileFields(fields: Readonly<Record<string, FieldMatch>> | undefined): (readonly [string, FieldTest])[] {
  return Object.entries(fields ?? {}).map(
    ([name, match]) => [name, typeof match === 'boolean' ? match : toList<string | RegExp>(match)] as const,
  )
}
