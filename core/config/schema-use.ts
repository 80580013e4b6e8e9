/** Entries of a `use` list: plugins, inline hooks, and the policies that are planned. */
import { nearest } from './nearest.ts'
import type { Path } from './positions.ts'
import { type Check, duration, isObject, list, object, oneOf, type Scope, show, size, textThat } from './report.ts'

/** Hooks that run; the others of the contract are refused until they do. */
const HOOKS = ['onRequest', 'onResponse']
const PLANNED_HOOKS = [
  'onConnection',
  'onClientHello',
  'onData',
  'onRequestBody',
  'onResponseBody',
  'onUpgrade',
  'onMessage',
  'onError',
  'onLog',
  'onReload',
]

export const checkUse: Check = (value, path, scope) => {
  const { report } = scope
  if (typeof value === 'function')
    return report.error(path, `expected a plugin, a policy or an object of hooks, got ${show(value)}; a plugin is called with its options`)
  if (!isObject(value)) return report.error(path, `expected a plugin, a policy or an object of hooks, got ${show(value)}`)
  if (value.kind === 'policy') return report.error(path, `${String(value.name)} is not supported yet`)
  if (value.kind === 'plugin') return checkPlugin(value, path, scope)
  if ('kind' in value) return report.error(path, `${show(value)} does not belong into use`)
  for (const [name, hook] of Object.entries(value)) {
    if (HOOKS.includes(name)) {
      if (hook !== undefined && typeof hook !== 'function') report.error([...path, name], `expected a function, got ${show(hook)}`)
    } else if (PLANNED_HOOKS.includes(name)) report.error([...path, name], `the hook ${name} is not supported yet`, 'key')
    else report.error([...path, name], noSuchHook(name), 'key')
  }
}

function checkPlugin(use: Readonly<Record<string, unknown>>, path: Path, scope: Scope): void {
  if (typeof use.plugin !== 'string') {
    scope.report.error(path, 'this plugin was not imported as one: import its module in the config')
    return
  }
  const loss = findLoss(use.options, [...path, 'options'])
  if (loss !== null)
    scope.report.error(loss.path, `the options of a plugin are plain data, for they cross into the sandbox: ${loss.what} cannot`)
  if (use.use !== undefined) useOptions(use.use, [...path, 'use'], scope)
}

const permission = textThat((text) => {
  if (['kv', 'request.body', 'response.body', 'stream', 'credentials'].includes(text) || /^net:[^:]+:\d+$/.test(text))
    return text === 'credentials' ? null : `the permission ${text} is not supported yet`
  return `no such permission: ${show(text)}; there are net:HOST:PORT, kv, request.body, response.body, stream and credentials`
})

const useOptions = object({
  grant: list(permission),
  timeout: duration,
  deadline: duration,
  memory: size,
  isolation: oneOf('worker', 'process'),
  onFailure: oneOf('deny', 'continue'),
})

/** The first thing in a value that JSON would lose. */
function findLoss(value: unknown, path: Path, around: readonly unknown[] = []): { readonly path: Path; readonly what: string } | null {
  if (value === null || value === undefined || typeof value === 'string' || typeof value === 'boolean') return null
  if (typeof value === 'number') return Number.isFinite(value) ? null : { path, what: String(value) }
  if (typeof value !== 'object') return { path, what: show(value) }
  if (around.includes(value)) return { path, what: 'an object that holds itself' }
  const prototype: unknown = Object.getPrototypeOf(value)
  if (!Array.isArray(value) && prototype !== Object.prototype && prototype !== null) return { path, what: `a ${value.constructor.name}` }
  for (const [key, entry] of Object.entries(value)) {
    const loss = findLoss(entry, [...path, Array.isArray(value) ? Number(key) : key], [...around, value])
    if (loss !== null) return loss
  }
  return null
}

function noSuchHook(name: string): string {
  const near = nearest(name, [...HOOKS, ...PLANNED_HOOKS])
  return `there is no such hook${near === null ? '' : `; did you mean ${near}?`}`
}
