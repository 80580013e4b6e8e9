/** Forward proxies for tests: what they reach is on this machine, which a forward proxy refuses unless it is told otherwise. */

import { type Allow, type Config, defineConfig, type ForwardOptions, forward } from '../../core/index.ts'
import { compileForward } from '../../core/plan/compile-forward.ts'
import type { ProxyOptions } from './proxy.ts'

export const local: Allow = { networks: ['127.0.0.0/8', '::1'] }

/** `ports`: those that tunnels reach. */
export function forwarding(options: Partial<ForwardOptions> = {}, ports: readonly number[] = []): { readonly config: Config } {
  const allow = { ...local, ports, ...options.allow }
  return strictly({ ...options, allow })
}

/** With times of one's own. */
export function timed(times: NonNullable<ProxyOptions['times']>, ports: readonly number[] = []): ProxyOptions {
  return { listener: { forward: compileForward({ allow: { ...local, ports } }) }, routes: [{ to: { kind: 'named' } }], times }
}

/** Just these options. */
export function strictly(options: Partial<ForwardOptions>): { readonly config: Config } {
  return { config: defineConfig({ listeners: { out: forward({ listen: '127.0.0.1:0', ...options }) } }) as Config }
}

export function basic(user: string, password: string): string {
  return `Proxy-Authorization: Basic ${Buffer.from(`${user}:${password}`).toString('base64')}\r\n`
}
