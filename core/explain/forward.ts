/** What a forward listener asks before it lets a request through, one rule after the other, by the functions that the data path uses. */
import { existsSync } from 'node:fs'
import { readBlocklist } from '../blocking/blocklist.ts'
import { sizeText } from '../config/units.ts'
import { loadUserFile } from '../config/user-file.ts'
import { type ErrorCode, errorTable } from '../errors.ts'
import type { Refusal, Use } from '../forward/access.ts'
import { openAuthority } from '../forward/authority.ts'
import { type Guard, isLoopbackAddress, makeGuard } from '../forward/guard.ts'
import { OwnAddresses } from '../forward/own-addresses.ts'
import { type ListenedPlace, OwnListeners } from '../forward/own-listeners.ts'
import { parentRuleFor } from '../forward/parent-rules.ts'
import { isOpen, shown, type Times, type Who, wallTime } from '../forward/times.ts'
import { blockedBy, hasPassed, proxyAuthorization } from '../http/forwarding.ts'
import { formatDestination, type NamedDestination } from '../net/destination.ts'
import type { RequestHead } from '../net/http1/head.ts'
import type { AuthPlan, ForwardPlan, InterceptPlan, QuotaPlan, UserRatePlan, UserRatesPlan } from '../plan/forward-plan.ts'
import type { ListenerPlan } from '../plan/plan.ts'
import { BUSY, credentialsIn, Passwords, rememberedUsers } from '../policy/passwords.ts'
import type { AccessCheck, Outcome } from './explanation.ts'
import { clean } from './shown.ts'

export interface Admission {
  readonly checks: readonly AccessCheck[]
  /** Null: it is let through. */
  readonly refused: Outcome | null
}

export async function explainAdmission(
  listener: ListenerPlan,
  forward: ForwardPlan,
  { head, ip, at, listens }: Asking,
): Promise<Admission> {
  const checks: AccessCheck[] = []
  const add = adding(checks)
  const refusedBy = (code: ErrorCode): Admission => {
    const { status, text } = errorTable[code]
    return { checks, refused: { kind: 'error', code, status, because: text } }
  }
  const { auth } = forward
  const client = addClient(forward, ip, add)
  if (client !== null) return refusedBy(client)
  let user: string | null = null
  if (auth !== null) {
    const { text, refusal, name } = await explainUser(auth, head)
    user = name
    if (!add('auth', text, refusal)) return refusedBy('proxy_auth_required')
  }
  if (listener.via !== null && hasPassed(head, listener.via)) {
    add('loop', '', { code: 'loop_detected', detail: `Via names this listener, ${listener.via}` })
    return refusedBy('loop_detected')
  }
  const place: Place = {
    destination: head.destination!,
    use: head.method === 'CONNECT' ? 'tunnel' : 'http',
    who: { ip, user },
    at,
    listens,
  }
  const refused = await addPlace(forward, place, add)
  return refused === null ? { checks, refused: null } : refusedBy(refused)
}

/** The same of a client that asks by SOCKS. `refused`: why, null: it is let through. */
export async function explainTunnel(
  forward: ForwardPlan,
  { destination, ip, at, listens }: Pick<Place, 'destination' | 'at' | 'listens'> & { readonly ip: string },
): Promise<{ readonly checks: readonly AccessCheck[]; readonly refused: ErrorCode | null }> {
  const checks: AccessCheck[] = []
  const add = adding(checks)
  const client = addClient(forward, ip, add)
  if (client !== null) return { checks, refused: client }
  if (forward.auth !== null) add('auth', 'a name and a password are wanted, which SOCKS4 has none of; taken for given here', null)
  return { checks, refused: await addPlace(forward, { destination, use: 'tunnel', who: { ip, user: null }, at, listens }, add) }
}

/** True: the rule lets it pass. */
type Add = (rule: string, text: string, refusal: Refusal | null) => boolean

function adding(checks: AccessCheck[]): Add {
  return (rule, text, refusal) => {
    checks.push({
      rule,
      text: clean(refusal === null ? text : (refusal.detail ?? errorTable[refusal.code].text)),
      isRefused: refusal !== null,
    })
    return refusal === null
  }
}

function addClient({ access }: ForwardPlan, ip: string, add: Add): ErrorCode | null {
  const refused = access.refuseClient(ip)
  add('clients', access.rules.clients === null ? 'every client is served' : `${ip} is one of them`, refused)
  return refused?.code ?? null
}

/** Why it is refused; null: it is not. */
async function addPlace(forward: ForwardPlan, asked: Place, add: Add): Promise<ErrorCode | null> {
  const { destination, use } = asked
  const { access } = forward
  const refused = access.refuseDestination(destination, use, guardOf(forward, asked.listens))
  const place = formatDestination(destination)
  const rule = parentRuleFor(forward.parents, destination)
  const by = rule === null || rule.parents.length === 0 ? null : rule.parents.map(({ name }) => name).join(', or else ')
  const looked = destination.kind === 'name' && by === null ? `; the addresses of ${destination.host} are judged when they are dialled` : ''
  if (!add('allow', `${place} may be reached ${use === 'tunnel' ? 'by a tunnel' : 'by plain HTTP'}${looked}`, refused)) return refused!.code
  const { quota, bandwidth } = forward
  if (quota !== null) add('quota', quotaText(quota), null)
  if (bandwidth !== null) add('bandwidth', bandwidthText(bandwidth), null)
  if (forward.parents.length > 0) {
    const because = rule === null ? 'no rule of parent fits' : rule.name === 'parent' ? '' : `by ${rule.name}`
    const way = by === null ? 'goes directly' : `goes by way of ${by}`
    add('parent', because === '' ? way : `${way}: ${because}`, null)
  }
  if (forward.intercept !== null && use === 'tunnel') add('intercept', explainInterception(forward.intercept, destination.host), null)
  if (forward.block !== null) {
    const list = await readBlocklist(forward.block, () => Promise.resolve())
    const blocked = blockedBy((host) => list.match(host), destination.host)
    if (!add('block', `${destination.host} is in no list`, blocked)) return 'host_blocked'
  }
  return forward.times === null ? null : addTimes(forward.times, asked, add)
}

function addTimes(times: Times, { destination: { host }, who, at }: Place, add: Add): ErrorCode | null {
  const rules = times.rulesFor(host, who)
  const refused = times.refuse(host, who, at)
  if (refused === null) {
    const open = rules.find(({ window }) => isOpen(window, at))
    add('times', open === undefined ? `no rule is for ${host}: it may be at any time` : `it is within ${shown(open)}`, null)
    return null
  }
  const next = times.opensAt(host, who, at)
  const zone = rules[0]!.zone
  const when = next === null ? 'never' : `next at ${wallTime(next, zone)} by the clock of ${zone}`
  add('times', '', { ...refused, detail: `${refused.detail}; ${when}` })
  return refused.code
}

function guardOf({ opened }: ForwardPlan, listens: readonly ListenedPlace[]): Guard {
  const own = new OwnAddresses()
  const isOwn = (address: string): boolean => own.has(address)
  const listeners = new OwnListeners(
    (address) => isLoopbackAddress(address) || isOwn(address),
    () => listens,
  )
  return makeGuard({ opened, isOwn, listens: (address, port) => listeners.has(address, port) })
}

interface Place {
  /** Where this proxy itself is, and nobody is led. */
  readonly listens: readonly ListenedPlace[]
  readonly destination: NamedDestination
  readonly use: Use
  readonly who: Who
  /** Milliseconds since the epoch. */
  readonly at: number
}

/** As far as is known before the client has said which name its TLS asks for. */
function explainInterception({ except, cert, key, verifies, names }: InterceptPlan, host: string): string {
  if (except?.passes({ host }) === true) return `TLS to ${host} passes unread: except names it`
  // Where it is to be made, it is not there yet.
  const issuer = existsSync(cert) && existsSync(key) ? openAuthority({ cert, key }, Date.now()) : null
  if (issuer?.maySignFor(host) === false) return `TLS to ${host} passes unread: the authority may not sign for it`
  const by = issuer === null ? '' : `, by ${issuer.certificate.subject.replaceAll('\n', ', ')}`
  return `TLS to ${host} ends here${by}: its requests go through the same hooks, and the server is ${verifies ? '' : 'not '}verified${names === 'server' ? '; its certificate is looked at first, for its names' : ''}`
}

/** What of it is used up, the running proxy alone knows. */
function quotaText({ bytes, per, byUser }: QuotaPlan): string {
  const of = (most: number): string => (most === Number.POSITIVE_INFINITY ? 'no limit' : sizeText(most))
  const some = [...byUser].map(([user, most]) => `${user} ${of(most)}`)
  return `in ${per}, both ways together: ${[...some, `${some.length === 0 ? 'each user' : 'others'} ${of(bytes)}`].join(', ')}`
}

function bandwidthText({ each, byUser }: UserRatesPlan): string {
  const of = ({ up, down }: UserRatePlan): string => {
    const rates = [up === null ? '' : `${sizeText(up)} a second up`, down === null ? '' : `${sizeText(down)} a second down`]
    return rates.filter((rate) => rate !== '').join(' and ') || 'no limit'
  }
  const some = [...byUser].map(([user, rate]) => `${user} ${of(rate)}`)
  return [...some, `${some.length === 0 ? 'each user' : 'others'} ${of(each)}`].join(', ')
}

interface Asking extends Pick<Place, 'at' | 'listens'> {
  readonly head: RequestHead
  readonly ip: string
}

interface ExplainedUser {
  readonly text: string
  readonly refusal: Refusal | null
  /** Null: it is not known. */
  readonly name: string | null
}

async function explainUser({ users, file, check }: AuthPlan, head: RequestHead): Promise<ExplainedUser> {
  const field = proxyAuthorization(head)
  if (field === null) return { text: 'a name and a password are wanted; taken for given here', refusal: null, name: null }
  const wrong = { text: '', name: null, refusal: { code: 'proxy_auth_required', detail: 'not the name and password of a user' } as const }
  const credentials = credentialsIn(field)
  if (credentials === null) return wrong
  const known = new Passwords({ users, file: file === null ? null : loadUserFile(file), remembered: rememberedUsers(), now: () => 0 })
  const name = credentials.toString('utf8', 0, credentials.indexOf(58))
  if (check !== null && !known.mayBe(name))
    return { text: `the function auth.check says whether it is ${name}; it is not asked here`, refusal: null, name }
  const user = await known.check(credentials, '')
  return user === null || user === BUSY ? wrong : { text: `it is ${user}`, refusal: null, name: user }
}
