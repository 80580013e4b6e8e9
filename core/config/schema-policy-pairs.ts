/** Policies that are right each by itself and not on the same way of a request. */
import { compilePath } from '../route/pattern.ts'
import { ACCESS_POLICIES } from './access-policies.ts'
import type { Path } from './positions.ts'
import { isObject, type Plain, type Report } from './report.ts'
import type { Parts } from './schema-parts.ts'

interface Use {
  readonly name: unknown
  readonly path: Path
  readonly options: unknown
}

export function checkPolicyPairs(config: Plain, { listeners, routes }: Parts, report: Report): void {
  const shared = policiesIn(config.use, [])
  const ofListener = new Map(listeners.map(({ name, options, path }) => [name, [...shared, ...policiesIn(options.use, path)]]))
  const told = new Set<Path>()
  /** Who gets a hit was not asked by what comes after the cache. That of a listener stands behind what a route asks: see plan/cache-places.ts. */
  const tellUnasked = (uses: readonly Use[]): void => {
    // A route has one cache, the innermost.
    const at = uses.findLastIndex(({ name }) => name === 'cache')
    for (const { name, path } of at < 0 ? [] : uses.slice(at + 1)) {
      if (!ACCESS_POLICIES.has(String(name)) || told.has(path)) continue
      told.add(path)
      report.error(path, `a cache before it answers without asking it: put cache() behind ${String(name)}() in the same list`)
    }
  }
  const isSilent = isObject(config.log) && config.log.access === false
  const tellSilent = (uses: readonly Use[]): void => {
    for (const { name, path } of isSilent ? uses : []) {
      if (name !== 'accessLog' || told.has(path)) continue
      told.add(path)
      report.warn(path, 'there is no access log that this could say anything of: log.access is false')
    }
  }
  const plain = new Set<Path>()
  const tellPlain = (uses: readonly Use[]): void => {
    for (const { name, path, options } of uses) {
      if (name !== 'oidc' || plain.has(path) || !isObject(options) || typeof options.issuer !== 'string') continue
      if (!isPlainText(options.issuer)) continue
      plain.add(path)
      report.warn([...path, { hidden: 'options' }, 'issuer'], 'without https anybody on the way can say who logs in')
    }
  }
  for (const uses of ofListener.values()) {
    tellSilent(uses)
    tellPlain(uses)
  }
  /** Of a route and of the groups around it, which come before it. */
  const chains = new Map<string, readonly Use[]>()
  for (const { route, path, listener, paths } of routes) {
    tellLost(policiesIn(route.use, path), paths, report)
    const own = [...(chains.get(JSON.stringify(path.slice(0, -2))) ?? []), ...policiesIn(route.use, path)]
    chains.set(JSON.stringify(path), own)
    const uses = [...(ofListener.get(listener) ?? []), ...own]
    tellUnasked(own)
    tellSilent(uses)
    tellPlain(uses)
  }
}

/** A browser that comes back from its login has to get to where it was sent away. `paths`: of the route. */
function tellLost(uses: readonly Use[], paths: unknown, report: Report): void {
  for (const { name, path, options } of uses) {
    if (name !== 'oidc' || !isObject(options)) continue
    const { callback = '/oauth2/callback' } = options
    const back = typeof callback === 'string' ? (URL.parse(callback, 'http://x')?.pathname ?? null) : null
    if (back === null || mayMatch(paths, back)) continue
    report.warn(
      path,
      `browsers come back to ${back}, which does not match the path of this route: put oidc() on the listener, or say where with callback`,
    )
  }
}

/** What is wrong itself is said elsewhere. */
function mayMatch(paths: unknown, path: string): boolean {
  const patterns: readonly unknown[] = Array.isArray(paths) ? paths : [paths]
  return patterns.some((pattern) => {
    if (typeof pattern !== 'string' && !(pattern instanceof RegExp)) return true
    try {
      return compilePath(pattern).some((matcher) => matcher.test(path))
    } catch {
      return true
    }
  })
}

/** And not on this machine. */
function isPlainText(issuer: string): boolean {
  const url = URL.parse(issuer)
  return url?.protocol === 'http:' && !/^(?:localhost|127\.[\d.]+|\[::1\])$/.test(url.hostname)
}

function policiesIn(use: unknown, path: Path): Use[] {
  if (!Array.isArray(use)) return []
  return use.flatMap((one, i) =>
    isObject(one) && one.kind === 'policy' ? [{ name: one.name, path: [...path, 'use', i], options: one.options }] : [],
  )
}
