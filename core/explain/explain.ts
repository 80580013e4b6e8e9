/**
 * Tells what the proxy of a config would do with one request, and why, without sending anything. Hooks are not run, for they may act on
 * the world: what they would change is not known here. Functions of `when` are run.
 */
import { type FlatRoute, flatRoutes } from '../config/flat-routes.ts'
import { httpListeners } from '../config/http-listeners.ts'
import type { Path } from '../config/positions.ts'
import { errorTable } from '../errors.ts'
import { makeHook } from '../hooks.ts'
import type { Config } from '../index.ts'
import { formatDestination } from '../net/destination.ts'
import type { RequestHead } from '../net/http1/head.ts'
import { compilePlan } from '../plan/compile.ts'
import { ownPlacesOf } from '../plan/forward-listeners.ts'
import type { ForwardPlan } from '../plan/forward-plan.ts'
import { httpListenersOf } from '../plan/http-listeners.ts'
import type { ListenerPlan, Plan, RoutePlan } from '../plan/plan.ts'
import type { UpstreamPlan } from '../plan/upstream-plan.ts'
import type { UseConfig } from '../plan/uses.ts'
import { RequestFacts } from '../request-view.ts'
import { planTo } from '../upstream/destinations.ts'
import { type Arrived, type Explained, explainDestination } from './destination.ts'
import { drawDiagrams } from './diagram.ts'
import type { Asked, Explanation, NamedValue, Outcome, UseStep } from './explanation.ts'
import { explainFiles } from './files.ts'
import { firewallRules } from './firewall.ts'
import { explainAdmission } from './forward.ts'
import { addressesOf, type Choice, chooseListener, parseTarget, schemeOf } from './listener.ts'
import { explainPassed, isPassedOn } from './passed.ts'
import { type ReadRequest, readRequest } from './request.ts'
import { type Tried, tryRoutes } from './routes.ts'
import { clean, shownField } from './shown.ts'
import { type AskedHead, type PluginFacts, pathOfUse, useStep } from './use.ts'

export interface Subject {
  /** A valid one. */
  readonly config: Config
  readonly folder: string
  /** `proxy.config.ts:12:7` */
  nameOf(path: Path): string
  /** Takes out what the config keeps secret. */
  mask(text: string): string
  /** Of each use of a plugin that could be loaded. */
  readonly plugins: readonly PluginFacts[]
}

export async function explain(subject: Subject, asked: Asked): Promise<Explanation> {
  const target = parseTarget(asked.url)
  if (target === null && !isPassedOn(asked.url) && asked.diagram !== true)
    return nothing(asked, `${clean(asked.url)} is no URL of a kind that is known: http, https, udp, tcp, tls, socks4 or socks5`)
  if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(asked.method)) return nothing(asked, `${clean(asked.method)} is no method`)
  const uses = new Map<string, UseConfig>()
  const plan = compilePlan(subject.config, {
    generation: 0,
    folder: subject.folder,
    bindUse: (use, key) => {
      uses.set(key, use)
      return makeHook(key, {})
    },
  })
  if (asked.firewall !== undefined) {
    const said = firewallRules(plan, asked.firewall)
    return 'wrong' in said ? nothing(asked, said.wrong) : { ...nothing(asked, null), diagram: said.rules }
  }
  if (asked.diagram === true) return { ...nothing(asked, null), diagram: drawDiagrams(plan, asked.listener) }
  if (target === null) {
    const found = await explainPassed(plan, asked)
    return 'wrong' in found ? nothing(asked, found.wrong) : { ...nothing(asked, null), ...found }
  }
  const choice = chooseListener(plan, target, asked)
  if (typeof choice === 'string') return nothing(asked, choice)
  if ('passed' in choice) return { ...nothing(asked, null), passed: choice.passed }
  const because = asked.head === null ? choice.because + whatIsNoId(asked.url) : 'it took the request'
  return new Explainer(subject, { plan, uses }, { ...choice, because }).explain(asked, readRequest(asked, target, choice.listener))
}

/** A typing error would be explained as the name of a host. */
function whatIsNoId(url: string): string {
  return /^[0-9a-z]+-[0-9a-z]+$/.test(url)
    ? `; ${url} is taken for a host: the id of a request has ten characters and more before its dash`
    : ''
}

interface ReadForward extends ReadRequest {
  readonly head: RequestHead
  /** Milliseconds since the epoch. */
  readonly at: number
}

interface Compiled {
  readonly plan: Plan
  readonly uses: ReadonlyMap<string, UseConfig>
}

class Explainer {
  readonly #subject: Subject
  readonly #compiled: Compiled
  readonly #choice: Choice
  readonly #listener: ListenerPlan
  readonly #routes: readonly FlatRoute[]
  /** Of the listener's options. */
  readonly #path: Path

  constructor(subject: Subject, compiled: Compiled, choice: Choice) {
    this.#subject = subject
    this.#compiled = compiled
    this.#choice = choice
    this.#listener = choice.listener
    this.#routes = flatRoutes(subject.config, choice.listener.name) ?? []
    this.#path = httpListeners(subject.config).find(({ name }) => name === choice.listener.name)!.path
  }

  async explain(asked: Asked, read: ReadRequest): Promise<Explanation> {
    const { head, step } = read
    const told: Explanation = { ...nothing(asked, null), listener: this.#listenerStep(), request: step }
    if (head === null) {
      const { code, status, because } = step.refused!
      return { ...told, outcome: { kind: 'error', code, status, because } }
    }
    if (this.#listener.forward !== null)
      return this.#explainForward(told, this.#listener.forward, { ...read, head, at: asked.at ?? Date.now() })
    const tried = tryRoutes(this.#routes, new RequestFacts(head, read.ip), { all: asked.all, ...this.#subject })
    const index = tried.route === null ? -1 : this.#routes.indexOf(tried.route)
    const route = index < 0 ? null : this.#listener.routes.routes[index]!
    const steps = this.#useSteps({ head, ip: read.ip, folder: this.#subject.folder }, route)
    const { outcome: end, upstream } =
      route === null ? { outcome: unmatched(tried), upstream: null } : await this.#destination(route, tried, read)
    return {
      ...told,
      use: steps,
      routes: tried.step,
      outcome: end,
      responseUse: responseUse(steps),
      timeouts: this.#timeouts(upstream),
    }
  }

  /** It has one route, for the place that the request names. */
  async #explainForward(told: Explanation, forward: ForwardPlan, read: ReadForward): Promise<Explanation> {
    const { checks, refused } = await explainAdmission(this.#listener, forward, { ...read, listens: ownPlacesOf(this.#compiled.plan) })
    if (refused !== null) return { ...told, access: checks, outcome: refused }
    const use = this.#useSteps({ head: read.head, ip: read.ip, folder: this.#subject.folder }, null)
    const destination = read.head.destination!
    if (read.head.method === 'CONNECT') {
      const outcome: Outcome = { kind: 'tunnel', to: formatDestination(destination) }
      return { ...told, access: checks, use, outcome, timeouts: this.#timeouts(planTo(destination)) }
    }
    const { outcome, upstream } = explainDestination({ kind: 'named' }, { ...this.#arrived(read), params: null })
    return { ...told, access: checks, use, outcome, responseUse: responseUse(use), timeouts: this.#timeouts(upstream) }
  }

  #arrived({ head, peer, ip, isHttp2 }: ReadRequest): Omit<Arrived, 'params'> {
    return { head: head!, peer, ip, listener: this.#listener, isHttp2, mask: this.#subject.mask }
  }

  #listenerStep(): Explanation['listener'] {
    const listener = this.#listener
    const others = httpListenersOf(this.#compiled.plan.listeners).filter((one) => one !== listener)
    return {
      ...{ name: listener.name, place: this.#subject.nameOf(this.#path.slice(0, -1)), addresses: addressesOf(listener) },
      ...{ scheme: schemeOf(listener), because: this.#choice.because },
      others: others.map((one) => ({ name: one.name, addresses: addressesOf(one) })),
    }
  }

  /** The listener's, then the route's. */
  #useSteps(asked: AskedHead, route: RoutePlan | null): UseStep[] {
    const { name, hooks } = this.#listener
    const owners = new Map<string, Path>([[name, this.#path]])
    for (const { levels } of this.#routes) for (const { id, path } of levels) owners.set(id, path)
    return [...hooks, ...(route?.hooks ?? [])].map(({ name: key }) => {
      const facts = this.#subject.plugins.find((one) => one.key === key) ?? null
      return useStep({ key, use: this.#compiled.uses.get(key)!, facts }, asked, this.#subject.nameOf(pathOfUse(key, owners)))
    })
  }

  async #destination({ destination, mirror }: RoutePlan, { params, route }: Tried, read: ReadRequest): Promise<Explained> {
    if (destination.kind === 'files')
      return { outcome: await explainFiles(destination, { ...this.#arrived(read), params }), upstream: null }
    const explained = explainDestination(destination, { ...this.#arrived(read), params })
    if (explained.outcome.kind !== 'upstream') return explained
    const { path, route: written } = route!.levels.at(-1)!
    const place = 'to' in written ? this.#subject.nameOf([...path, 'to']) : null
    const copied = mirror === null ? null : { upstream: mirror.upstream.name, percent: 100 * mirror.share }
    return { ...explained, outcome: { ...explained.outcome, place, mirror: copied } satisfies Outcome }
  }

  #timeouts(upstream: UpstreamPlan | null): Explanation['timeouts'] {
    const { requestHead, requestBodyIdle, sendIdle, keepAlive } = this.#listener.timeouts
    const own = Object.entries({ requestHead, requestBodyIdle, sendIdle, keepAlive })
    const theirs = upstream === null ? [] : Object.entries(upstream.timeouts).filter(([, ms]) => ms !== Number.POSITIVE_INFINITY)
    return [
      ...own.map(([name, ms]) => ({ name, ms, of: this.#listener.name })),
      ...theirs.map(([name, ms]) => ({ name, ms, of: upstream!.name })),
    ]
  }
}

/** In the order in which they see the response. */
function responseUse(steps: readonly UseStep[]): string[] {
  return steps
    .filter(({ hooks, isAsked }) => isAsked && hooks.includes('onResponse'))
    .map(({ key }) => key)
    .reverse()
}

function unmatched({ error }: Tried): Outcome {
  if (error === null) return { kind: 'error', code: 'no_route', status: errorTable.no_route.status, because: 'no route matches' }
  return { kind: 'error', code: error.code, status: error.status, because: clean(error.message) }
}

function nothing({ method, url, headers, from, head }: Asked, wrong: string | null): Explanation {
  const fields = head === null ? headers : fieldsIn(head)
  return {
    asked: { method: clean(method), url: clean(url), headers: fields.map(([name, value]): NamedValue => shownField(name, value)), from },
    ...{
      wrong,
      passed: null,
      diagram: null,
      listener: null,
      request: null,
      access: null,
      use: null,
      routes: null,
      outcome: null,
      responseUse: [],
      timeouts: [],
    },
  }
}

function fieldsIn(head: string): (readonly [string, string])[] {
  return head
    .split('\r\n')
    .slice(1)
    .flatMap((line) => {
      const colon = line.indexOf(':')
      return colon > 0 ? [[line.slice(0, colon), line.slice(colon + 1).trim()] as const] : []
    })
}
