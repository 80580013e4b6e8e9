/** `headers`: fields of requests and responses, taken out, set, added. */
import { toList } from '../config/lists.ts'
import type { FieldRules, FieldValue, HeadersOptions } from '../dsl/message-policies.ts'
import { type Ask, makeHook } from '../hooks.ts'
import { isHostOwned } from '../net/http1/fields.ts'
import type { Head } from '../net/http1/head.ts'
import type { RequestView } from '../plugin.ts'
import { makeRequestView } from '../request-view.ts'
import type { PolicyKind } from './policy.ts'

export const headers: PolicyKind<HeadersOptions> = {
  isPure: true,
  bind({ request, response }) {
    return makeHook('headers', { onRequest: asking(request, 'request'), onResponse: asking(response, 'response') })
  },
  describe({ request, response }) {
    return [...inWords('request', request), ...inWords('response', response)].join('; ') || 'nothing'
  },
}

function asking(rules: FieldRules | undefined, of: 'request' | 'response'): Ask | null {
  if (rules === undefined) return null
  const edit = new Edit(rules)
  return (call) => {
    const view = edit.looks ? makeRequestView(call.request, call.ip) : null
    edit.apply(of === 'request' ? call.request : call.response!, view)
    return null
  }
}

class Edit {
  /** Whether a value depends on the request. */
  readonly looks: boolean
  readonly #removed: readonly string[]
  /** In lower case, without their `*`. */
  readonly #prefixes: readonly string[]
  readonly #set: readonly (readonly [string, FieldValue])[]
  readonly #added: readonly (readonly [string, FieldValue])[]

  constructor({ remove = [], set = {}, add = {} }: FieldRules) {
    const names = toList(remove)
    this.#removed = names.filter((name) => !name.endsWith('*'))
    this.#prefixes = names.filter((name) => name.endsWith('*')).map((name) => name.slice(0, -1).toLowerCase())
    this.#set = Object.entries(set)
    this.#added = Object.entries(add)
    this.looks = [...this.#set, ...this.#added].some(([, value]) => typeof value === 'function')
  }

  apply(head: Head, view: RequestView | null): void {
    for (const name of this.#removed) head.delete(name)
    if (this.#prefixes.length > 0) for (const name of this.#found(head)) head.delete(name)
    // Of a function that returns null nothing is set, and what was there is gone.
    for (const [name, value] of this.#set) {
      const text = textOf(value, view)
      if (text === null) head.delete(name)
      else head.set(name, text)
    }
    for (const [name, value] of this.#added) {
      const text = textOf(value, view)
      if (text !== null) head.append(name, text)
    }
  }

  #found(head: Head): string[] {
    const names: string[] = []
    head.forEach((name) => {
      const lower = name.toLowerCase()
      if (this.#prefixes.some((prefix) => lower.startsWith(prefix)) && !isHostOwned(lower)) names.push(name)
    })
    return names
  }
}

function textOf(value: FieldValue, view: RequestView | null): string | null {
  return typeof value === 'string' ? value : value(view!)
}

function inWords(of: string, rules: FieldRules | undefined): string[] {
  if (rules === undefined) return []
  const { remove = [], set = {}, add = {} } = rules
  const parts = [
    ['without', toList(remove)],
    ['sets', Object.keys(set)],
    ['adds', Object.keys(add)],
  ] as const
  return parts.flatMap(([verb, names]) => (names.length === 0 ? [] : [`${of} ${verb} ${names.join(', ')}`]))
}
