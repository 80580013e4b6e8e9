/** Which listener of a plan a request enters by. */
import { nearest } from '../config/nearest.ts'
import type { AnyListenerPlan, ListenerPlan, TcpListenerPlan } from '../plan/plan.ts'

export interface Entrance {
  readonly url: string
  /** Asked for by name. */
  readonly listener: string | null
}

/**
 * By its name; else by the URL's port; a URL without one means the listener on the scheme's own port, or else the first in the config
 * that speaks the scheme. The URL of a request to a forward proxy tells where the request goes, not the listener: it takes what no other
 * listener is meant by. Throws with all there are.
 */
export function chooseListener(listeners: readonly ListenerPlan[], { url, listener: name }: Entrance): ListenerPlan {
  if (listeners.length === 0) throw new Error('the config has no HTTP listener')
  if (name !== null) return byName(listeners, name)
  const { protocol, port } = new URL(url)
  const fitting = listeners.filter(({ tls, forward }) => forward === null && (tls !== null) === (protocol === 'https:'))
  const standard = protocol === 'https:' ? 443 : 80
  const onPort = fitting.find((listener) => hasPort(listener, port === '' ? standard : Number(port)))
  if (onPort !== undefined) return onPort
  const [first] = fitting
  if (port === '' && first !== undefined) return first
  const proxy = listeners.find(({ forward }) => forward !== null && (protocol === 'http:' || forward.intercept !== null))
  if (proxy !== undefined) return proxy
  const what = port === '' ? `speaks ${protocol.slice(0, -1)}` : `listens on port ${port} for ${protocol.slice(0, -1)}`
  throw new Error(`no listener ${what}; there ${list(listeners)}. Name one: fetch(url, { listener: '${listeners[0]?.name ?? 'web'}' })`)
}

/** By its name, which the only one does not need. Throws with all there are. */
export function chooseTcpListener(all: readonly AnyListenerPlan[], name: string | null): TcpListenerPlan {
  const listeners = all.filter((listener) => listener.kind === 'tcp')
  if (listeners.length === 0) throw new Error('the config has no TCP listener')
  const names = listeners.map((listener) => listener.name)
  const found = name === null ? (listeners.length === 1 ? listeners[0] : undefined) : listeners.find((listener) => listener.name === name)
  if (found !== undefined) return found
  const near = name === null ? null : nearest(name, names)
  const wrong = name === null ? 'there are several TCP listeners' : `there is no TCP listener ${name}`
  throw new Error(`${wrong}${near === null ? '' : `; did you mean ${near}?`} (${names.join(', ')}): connect('${near ?? names[0]}', …)`)
}

function byName(listeners: readonly ListenerPlan[], name: string): ListenerPlan {
  const found = listeners.find((listener) => listener.name === name)
  if (found !== undefined) return found
  const near = nearest(
    name,
    listeners.map((listener) => listener.name),
  )
  throw new Error(`there is no listener ${name}${near === null ? '' : `; did you mean ${near}?`}; there ${list(listeners)}`)
}

function hasPort({ addresses }: ListenerPlan, port: number): boolean {
  return addresses.some((address) => address.kind === 'tcp' && address.port === port)
}

function list(listeners: readonly ListenerPlan[]): string {
  const texts = listeners.map(({ name, addresses, tls }) => {
    const where = addresses.map((address) => (address.kind === 'unix' ? address.path : `${address.host ?? ''}:${address.port}`))
    return `${name} (${[tls === null ? 'http' : 'https', ...where].join(', ')})`
  })
  return `${texts.length === 1 ? 'is' : 'are'} ${texts.join(', ')}`
}
