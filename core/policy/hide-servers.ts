/** `hideServers`: answers of endpoints speak of places as clients know them, and not of what serves them. */
import { toList } from '../config/lists.ts'
import type { HideServersOptions } from '../dsl/message-policies.ts'
import { type HookCall, makeHook } from '../hooks.ts'
import type { ResponseHead } from '../net/http1/head.ts'
import { cookieOutside, type OutsideView, referenceOutside, refreshOutside } from './outside.ts'
import type { PolicyKind } from './policy.ts'

const TELLTALES = ['server', 'x-powered-by', 'x-aspnet-version', 'x-aspnetmvc-version', 'via']

export const hideServers: PolicyKind<HideServersOptions> = {
  isPure: true,
  bind({ links = true, cookies = true, remove = TELLTALES, hosts = [] }) {
    const removed = toList(remove)
    const names = toList(hosts).map((host) => host.toLowerCase())
    return makeHook('hideServers', {
      onResponse: (call) => {
        const response = call.response!
        const view = viewOf(call, names)
        // The proxy's own answers are about what clients see.
        if (view === null) return null
        for (const name of removed) response.delete(name)
        if (links) editLinks(response, view)
        if (cookies && response.has('set-cookie')) editCookies(response, view)
        return null
      },
    })
  },
  describe({ links = true, cookies = true, remove = TELLTALES }) {
    const names = toList(remove)
    const told = [...(links ? ['Location'] : []), ...(cookies ? ['Set-Cookie'] : [])].join(' and ')
    return [
      ...(told === '' ? [] : [`tells ${told} as clients know places`]),
      ...(names.length === 0 ? [] : [`takes out ${names.join(', ')}`]),
    ].join('; ')
  },
}

function viewOf({ passage, request, scheme = 'http' }: HookCall, names: readonly string[]): OutsideView | null {
  if (passage === undefined || passage === null) return null
  return { ...passage, hosts: names.length === 0 ? passage.hosts : [...passage.hosts, ...names], host: request.host, scheme }
}

function editLinks(response: ResponseHead, view: OutsideView): void {
  for (const name of ['Location', 'Content-Location', 'Refresh']) {
    const value = response.get(name)
    if (value === null) continue
    const outside = name === 'Refresh' ? refreshOutside(value, view) : referenceOutside(value, view)
    if (outside !== value) response.set(name, outside)
  }
}

function editCookies(response: ResponseHead, view: OutsideView): void {
  const values: string[] = []
  response.forEach((name, value) => {
    if (name.toLowerCase() === 'set-cookie') values.push(value)
  })
  const outside = values.map((value) => cookieOutside(value, view))
  if (outside.every((value, i) => value === values[i])) return
  response.delete('set-cookie')
  for (const value of outside) response.append('Set-Cookie', value)
}
