/** The options of a listener of the forward side → ForwardPlan: what was left out filled in, rules ready to be asked. */
import { hash } from 'node:crypto'
import { hostname } from 'node:os'
import { entriesOf, toList } from '../config/lists.ts'
import { Access } from '../forward/access.ts'
import { type Parent, parseParent } from '../forward/parent.ts'
import type { ParentRule } from '../forward/parent-rules.ts'
import type { Allow, ForwardOptions, Intercept, PacOptions, ParentRule as ParentRuleOptions, Users } from '../index.ts'
import { CidrSet } from '../net/cidr.ts'
import { parseDestination } from '../net/destination.ts'
import { HostCondition } from '../route/conditions.ts'
import { compileTimes } from './compile-times.ts'
import { resolveFile } from './compile-upstream.ts'
import { compileQuota, compileUserRates } from './compile-user-limits.ts'
import { canonicalHosts } from './forward-hosts.ts'
import type { AuthPlan, BlocklistPlan, ForwardPlan, InterceptPlan, PacPlan } from './forward-plan.ts'

const TUNNEL_PORTS = [443]

export interface ForwardParts {
  readonly block?: BlocklistPlan | null
  readonly intercept?: InterceptPlan | null
  /** Those that tunnels reach unless `allow` says it. */
  readonly ports?: readonly number[]
  /** Of the config. */
  readonly folder?: string
}

export function compileForward(
  options: Pick<ForwardOptions, 'auth' | 'allow' | 'anonymity' | 'pac' | 'parent' | 'quota' | 'bandwidth'>,
  { block = null, intercept = null, ports = TUNNEL_PORTS, folder = '/' }: ForwardParts = {},
): ForwardPlan {
  const { auth, allow = {}, anonymity = 'none', pac, parent, quota, bandwidth } = options
  const networks = toList(allow.networks ?? [])
  return Object.freeze({
    access: compileAccess({ ...allow, ports: allow.ports ?? ports }),
    times: allow.times === undefined ? null : compileTimes(allow.times),
    auth: auth === undefined ? null : compileAuth(auth, folder),
    opened: networks.length === 0 ? null : new CidrSet(networks),
    anonymity,
    ...{ block, intercept },
    pac: pac === undefined ? null : compilePac(pac.options),
    quota: quota === undefined ? null : compileQuota(quota),
    bandwidth: bandwidth === undefined ? null : compileUserRates(bandwidth),
    parents: Object.freeze(compileParents(parent)),
    dialKey: JSON.stringify([networks, parent]),
  })
}

function compileAuth({ users, file, check }: Users, folder: string): AuthPlan {
  return Object.freeze({
    users: Object.freeze({ ...users }),
    file: file === undefined ? null : resolveFile(folder, file),
    check: check ?? null,
  })
}

function compileParents(written: ForwardOptions['parent']): ParentRule[] {
  if (written === undefined) return []
  const parse = (one: string): Parent => Object.freeze(parseParent(one) as Parent)
  if (typeof written === 'string') return [{ name: 'parent', places: null, ports: null, parents: [parse(written)] }]
  const rules = written.flatMap((rule, i) => (typeof rule === 'string' ? [] : [compileParentRule(rule, `parent[${i}]`, parse)]))
  // Those without a rule stand at the end, and are one for everything else.
  const others = written.filter((rule) => typeof rule === 'string')
  if (others.length === 0) return rules
  return [...rules, { name: `parent[${rules.length}]`, places: null, ports: null, parents: Object.freeze(others.map(parse)) }]
}

function compileParentRule({ hosts, ports, via }: ParentRuleOptions, name: string, parse: (one: string) => Parent): ParentRule {
  const all = toList(hosts)
  const names = canonicalHosts(all.filter((host) => !host.includes('/')))
  const networks = all.filter((host) => host.includes('/'))
  return Object.freeze({
    name,
    places: names === null ? null : { hosts: new HostCondition(names), networks: new CidrSet(networks) },
    ports: ports === undefined ? null : new Set(ports),
    parents: Object.freeze(via === 'direct' ? [] : toList(via).map(parse)),
  })
}

export function compileIntercept({ options }: Intercept, folder: string): InterceptPlan {
  const { ca, verifyUpstream = {}, exceptAfter = Number.POSITIVE_INFINITY, names = 'asked' } = options
  const except = entriesOf<string>(options.except).flatMap(([, host]) => canonicalHosts(host) ?? [])
  const upstreamCa = verifyUpstream === false ? undefined : verifyUpstream.ca
  return Object.freeze({
    cert: resolveFile(folder, ca.cert),
    key: resolveFile(folder, ca.key),
    create: ca.create ?? false,
    except: except.length === 0 ? null : new HostCondition(except),
    verifies: verifyUpstream !== false,
    upstreamCa: upstreamCa === undefined ? null : resolveFile(folder, upstreamCa),
    exceptAfter,
    names,
  })
}

function compilePac({ except = [], wpad = false, proxy }: PacOptions): PacPlan {
  return Object.freeze({
    paths: Object.freeze(['/proxy.pac', ...(wpad ? ['/wpad.dat'] : [])]),
    except: Object.freeze(toList(except).map((host) => host.toLowerCase())),
    proxy: proxy === undefined ? null : parseDestination(proxy, null),
  })
}

export function compileAccess({ clients, hosts, ports = TUNNEL_PORTS }: Allow): Access {
  return new Access({
    clients: clients === undefined ? null : new CidrSet(toList(clients)),
    hosts: hosts === undefined ? null : canonicalHosts(hosts),
    ports: new Set(ports),
  })
}

/**
 * Its name in Via: the same in all workers and after a restart, and another one on every other machine, for a request that comes back is
 * known by it.
 */
export function viaName(listener: string, { listen }: Pick<ForwardOptions, 'listen'>): string {
  return `sluice-${hash('sha256', JSON.stringify([hostname(), listener, listen]), 'hex').slice(0, 10)}`
}
