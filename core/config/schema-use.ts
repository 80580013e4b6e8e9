/** Entries of a `use` list: plugins, policies and inline hooks. */
import * as z from 'zod/mini'
import { isPermission, permissionNames } from '../permissions.ts'
import { nearest } from './nearest.ts'
import { isObject, show } from './report.ts'
import { BODY_HOOKS, tellBodyHook } from './schema-body-hook.ts'
import { policyUse } from './schema-policies.ts'
import { chosen, list, made, object, oneOf, refused, type Schema, sizeFrom, someTime, textThat, wordsOf, wrong } from './schema-values.ts'

/** Asked by listeners of both kinds. */
const LOG_HOOK = 'onLog'
/** Hooks that run; the others of the contract are refused until they do. */
const HOOKS = ['onRequest', 'onResponse', 'onRequestBody', 'onResponseBody', 'onUpgrade', 'onMessage', 'onError', LOG_HOOK]
const CONNECTION_HOOKS = ['onConnection', 'onClientHello', 'onData']
const PLANNED_HOOKS = ['onReload']

const inlineHooks = telling((hooks, say) => {
  for (const [name, hook] of Object.entries(isObject(hooks) ? hooks : {})) {
    if (BODY_HOOKS.includes(name)) tellBodyHook(hook, (path, message, at) => say([name, ...path], message, at))
    else if (HOOKS.includes(name)) {
      if (hook !== undefined && typeof hook !== 'function') say([name], `expected a function, got ${show(hook)}`)
    } else if (CONNECTION_HOOKS.includes(name)) say([name], `the hook ${name} is for a listener of the kind tcp`, 'key')
    else if (PLANNED_HOOKS.includes(name)) say([name], `the hook ${name} is not supported yet`, 'key')
    else say([name], noSuchHook(name), 'key')
  }
})

const connectionHooks = telling((hooks, say) => {
  for (const [name, hook] of Object.entries(isObject(hooks) ? hooks : {})) {
    if (CONNECTION_HOOKS.includes(name) || name === LOG_HOOK) {
      if (hook !== undefined && typeof hook !== 'function') say([name], `expected a function, got ${show(hook)}`)
    } else if (PLANNED_HOOKS.includes(name)) say([name], `the hook ${name} is not supported yet`, 'key')
    else if ([...HOOKS, ...BODY_HOOKS].includes(name))
      say([name], `the hook ${name} is for HTTP; a TCP listener asks ${[...CONNECTION_HOOKS, LOG_HOOK].join(', ')}`, 'key')
    else say([name], noSuchHook(name), 'key')
  }
})

const permission = textThat((written) => {
  if (isPermission(written)) return null
  return `no such permission: ${show(written)}; there are ${permissionNames}`
})

/** The longest entry takes half of it. */
const kvMemory = sizeFrom('256kb', 'one value may have 64 KiB')
const ungrantedKv = refused("it is for what is kept in kv, and kv is not granted: add 'kv' to the grant, or take kvMemory out")

const useFields = {
  grant: list(permission),
  timeout: someTime('it is 5ms'),
  deadline: someTime('it is 1s'),
  memory: sizeFrom('8mb', 'V8 gives an isolate no less'),
  isolation: oneOf('worker', 'process'),
  onFailure: oneOf('deny', 'continue'),
}
const useWithKv = object({ ...useFields, kvMemory })
const useWithoutKv = object({ ...useFields, kvMemory: ungrantedKv })
const useOptions = chosen((value) => {
  const grant = isObject(value) ? value.grant : undefined
  return Array.isArray(grant) && grant.includes('kv') ? useWithKv : useWithoutKv
})

const pluginOptions = telling((options, say) => {
  const loss = findLoss(options, [])
  if (loss !== null) say(loss.path, `the options of a plugin are plain data, for they cross into the sandbox: ${loss.what} cannot`)
})

const pluginUse = made({ options: pluginOptions, use: z.optional(useOptions) })

const notImported = refused('this plugin was not imported as one: import its module in the config')
const uncalled = refused(
  (value) => `expected a plugin, a policy or an object of hooks, got ${show(value)}; a plugin is called with its options`,
)
const misplaced = refused((value) => `${show(value)} does not belong into use`)

export const useList: Schema = listOf(inlineHooks, 'http')
/** Of a TCP listener. */
export const connectionUseList: Schema = listOf(connectionHooks, 'connection')

function listOf(hooks: Schema, layer: 'http' | 'connection'): Schema {
  return list(
    chosen((value) => {
      if (typeof value === 'function') return uncalled
      if (!isObject(value)) return wrong('a plugin, a policy or an object of hooks')
      if (value.kind === 'policy') return policyUse(value, layer)
      if (value.kind === 'plugin') return typeof value.plugin === 'string' ? pluginUse : notImported
      return 'kind' in value ? misplaced : hooks
    }),
  )
}

type Say = (path: (string | number)[], message: string, at?: 'key' | 'value') => void

/** A check by a function that tells what is wrong with members of the value. */
function telling(find: (value: unknown, say: Say) => void): Schema {
  return z.any().check(
    z.check(({ value, issues }) => {
      find(value, (path, message, at) => issues.push({ ...wordsOf(message, value, at), path }))
    }),
  )
}

interface Loss {
  readonly path: (string | number)[]
  readonly what: string
}

/** The first thing in a value that JSON would lose. */
function findLoss(value: unknown, path: (string | number)[], around: readonly unknown[] = []): Loss | null {
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
