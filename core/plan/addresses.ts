/**
 * What a plan listens on, each address with a key that is the same in the next plan: by it a socket stays bound through a reload,
 * also when another listener takes its address over.
 */
import type { AnyListenerPlan, ListenAddress } from './plan.ts'

export interface KeyedAddress {
  readonly key: string
  readonly listener: string
  readonly address: ListenAddress
}

export function addressesOf(listeners: readonly Pick<AnyListenerPlan, 'name' | 'addresses'>[]): KeyedAddress[] {
  return listeners.flatMap(({ name, addresses }) =>
    addresses.map((address, i) => ({ key: keyOf(address, `${name}[${i}]`), listener: name, address })),
  )
}

function keyOf(address: ListenAddress, place: string): string {
  if (address.kind === 'unix') return `unix:${address.path}`
  const host = address.host ?? '*'
  // A socket that takes what is meant for others is another socket.
  const protocol = address.kind === 'udp' ? 'udp ' : address.isTransparent === true ? 'transparent ' : ''
  // Port 0 is another port for each who asks.
  return protocol + (address.port === 0 ? `${host}:0 ${place}` : `${host}:${address.port}`)
}
