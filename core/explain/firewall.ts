/**
 * `sluice transparent rules`: what the firewall and the routing of this machine need, so that connections of others get to the listeners of a plan
 * that are transparent. Pure; nothing is changed.
 */
import type { AnyListenerPlan, ListenAddress, Plan, TransparentPlan } from '../plan/plan.ts'

export interface FirewallAsked {
  /** Null: every transparent one. */
  readonly listener: string | null
  /** Ports that clients want to go to. */
  readonly ports: readonly number[]
  /** Clients come in by this; null: by any. */
  readonly interface: string | null
  /** The user that the proxy runs as: programs of this machine are sent to it too, but for that user's. Null: they are not. */
  readonly user: string | null
}

interface Gate {
  readonly name: string
  readonly address: Extract<ListenAddress, { readonly kind: 'tcp' | 'udp' }>
  readonly by: TransparentPlan['by']
}

/** For packets that the proxy takes although they are not meant for this machine; and the routing table that says so. */
const MARK = '0x51ce'
const TABLE = 20942

/** Two ways to fail: a sentence, for there is nothing to print. */
export function firewallRules({ listeners }: Plan, asked: FirewallAsked): { readonly rules: string } | { readonly wrong: string } {
  const gates = listeners.filter(({ name }) => asked.listener === null || name === asked.listener).flatMap(gatesOf)
  if (gates.length > 0) return { rules: [...gates.map((gate) => tableOf(gate, asked)), ...routing(gates)].join('\n') }
  if (asked.listener === null || !listeners.some(({ name }) => name === asked.listener))
    return { wrong: asked.listener === null ? 'no listener is transparent' : `there is no listener ${asked.listener}` }
  return { wrong: `${asked.listener} is not transparent` }
}

function gatesOf(listener: AnyListenerPlan): Gate[] {
  const { name, addresses } = listener
  const transparent = listener.kind === 'http' || listener.kind === 'tcp' ? listener.transparent : null
  if (transparent === null) return []
  return addresses.flatMap((address) => (address.kind === 'tcp' ? [{ name, address, by: transparent.by }] : []))
}

/** Loading it again puts it in the place of the one before. */
function tableOf(gate: Gate, asked: FirewallAsked): string {
  const table = `inet sluice_${gate.name.replaceAll('-', '_')}_${gate.address.port}`
  const chains = gate.by === 'tproxy' ? [tproxyChain(gate, asked)] : [redirectChain(gate, asked), ...outputChain(gate, asked)]
  return [
    `# listener ${gate.name}`,
    "nft -f - <<'END'",
    `table ${table}`,
    `delete table ${table}`,
    `table ${table} {`,
    ...chains,
    '}',
    'END',
  ].join('\n')
}

function redirectChain({ address }: Gate, { ports, interface: by }: FirewallAsked): string {
  return [
    '  chain prerouting {',
    '    type nat hook prerouting priority dstnat; policy accept;',
    `    ${from(by)}fib daddr type != local tcp dport ${set(ports)} ${family(address)}redirect to :${address.port}`,
    '  }',
  ].join('\n')
}

/** What programs of this machine open, but for the proxy itself: it would be sent back to itself without end. */
function outputChain({ address }: Gate, { ports, user }: FirewallAsked): string[] {
  if (user === null) return []
  return [
    '  chain output {',
    '    type nat hook output priority dstnat; policy accept;',
    `    meta skuid != ${JSON.stringify(user)} fib daddr type != local tcp dport ${set(ports)} ${family(address)}redirect to :${address.port}`,
    '  }',
  ]
}

function tproxyChain({ address }: Gate, { ports, interface: by }: FirewallAsked): string {
  const rule = (of: string): string =>
    `    ${from(by)}fib daddr type != local meta nfproto ${of} tcp dport ${set(ports)} tproxy ${of === 'ipv4' ? 'ip' : 'ip6'} to :${address.port} meta mark set ${MARK} accept`
  return [
    '  chain prerouting {',
    '    type filter hook prerouting priority mangle; policy accept;',
    ...familiesOf(address).map(rule),
    '  }',
  ].join('\n')
}

/** Marked packets are for this machine, whatever they are addressed to. Once: a second time `ip` says that it is there. */
function routing(gates: readonly Gate[]): string[] {
  const families = new Set(gates.filter(({ by }) => by === 'tproxy').flatMap(({ address }) => familiesOf(address)))
  return [...families].map((of) => {
    const [ip, all] = of === 'ipv4' ? ['ip', '0.0.0.0/0'] : ['ip -6', '::/0']
    return `${ip} rule add fwmark ${MARK} lookup ${TABLE}\n${ip} route add local ${all} dev lo table ${TABLE}`
  })
}

type Family = 'ipv4' | 'ipv6'

function familiesOf({ host }: Gate['address']): readonly Family[] {
  return host === null ? ['ipv4', 'ipv6'] : [host.includes(':') ? 'ipv6' : 'ipv4']
}

/** A listener of one family takes none of the other. */
function family(address: Gate['address']): string {
  const [only, other] = familiesOf(address)
  return other === undefined ? `meta nfproto ${only} ` : ''
}

function from(name: string | null): string {
  return name === null ? '' : `iifname ${JSON.stringify(name)} `
}

function set(ports: readonly number[]): string {
  return `{ ${ports.join(', ')} }`
}
