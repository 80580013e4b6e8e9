/**
 * `sluice transparent rules`: what the firewall and the routing of this machine need, so that connections of others get to the listeners of a plan
 * that are transparent. Pure; nothing is changed.
 */
import { nearest } from '../config/nearest.ts'
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
  /** What takes the rules away again. */
  readonly undo: boolean
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
  const all = listeners.flatMap(gatesOf)
  const gates = all.filter(({ name }) => asked.listener === null || name === asked.listener)
  if (gates.length === 0) return { wrong: whyNone(listeners, asked.listener) }
  if (!asked.undo) return { rules: [UNDONE, ...gates.map((gate) => tableOf(gate, asked)), ...routing(gates)].join('\n') }
  return {
    rules: [
      ...gates.map(withoutTable),
      ...withoutRouting(
        gates,
        all.filter((gate) => !gates.includes(gate)),
      ),
    ].join('\n'),
  }
}

const UNDONE = '# the same command with --undo prints what takes this away; while the listener has the name and the port that it has now'

function whyNone(listeners: readonly AnyListenerPlan[], asked: string | null): string {
  if (asked === null) return "no listener is transparent: transparent: 'redirect' or 'tproxy' makes it so"
  const names = listeners.map(({ name }) => name)
  if (names.includes(asked)) return `${asked} is not transparent`
  const near = nearest(asked, names)
  return `there is no listener ${asked}; ${near === null ? `there is ${names.join(', ')}` : `did you mean ${near}?`}`
}

function gatesOf(listener: AnyListenerPlan): Gate[] {
  const { name, addresses } = listener
  const transparent = listener.kind === 'http' || listener.kind === 'tcp' ? listener.transparent : null
  if (transparent === null) return []
  return addresses.flatMap((address) => (address.kind === 'tcp' ? [{ name, address, by: transparent.by }] : []))
}

/** Loading it again puts it in the place of the one before. */
function tableOf(gate: Gate, asked: FirewallAsked): string {
  const table = nameOf(gate)
  const isLeftOut = gate.by === 'tproxy' && asked.user !== null
  const chains = gate.by === 'tproxy' ? [tproxyChain(gate, asked)] : [redirectChain(gate, asked), ...outputChain(gate, asked)]
  return [
    `# listener ${gate.name}`,
    ...(isLeftOut ? ['# --user is for redirect alone: what programs of this machine open never comes by where tproxy looks'] : []),
    "nft -f - <<'END'",
    `table ${table}`,
    `delete table ${table}`,
    `table ${table} {`,
    ...chains,
    '}',
    'END',
  ].join('\n')
}

/** It is made first, so that it is no error if it is gone already. */
function withoutTable(gate: Gate): string {
  const table = nameOf(gate)
  return [`# listener ${gate.name}`, "nft -f - <<'END'", `table ${table}`, `delete table ${table}`, 'END'].join('\n')
}

function nameOf({ name, address }: Gate): string {
  return `inet sluice_${name.replaceAll('-', '_')}_${address.port}`
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

/** Marked packets are for this machine, whatever they are addressed to. `ip` refuses a rule that is there already. */
function routing(gates: readonly Gate[]): string[] {
  return [...routedOf(gates)].flatMap((of) => {
    const { ip, rule, route } = ROUTING[of]
    return [`${ip} rule del ${rule} 2>/dev/null || true`, `${ip} rule add ${rule}`, `${ip} route replace ${route}`]
  })
}

/** All listeners of `tproxy` share it: it stays as long as others need it. */
function withoutRouting(gates: readonly Gate[], others: readonly Gate[]): string[] {
  const needed = routedOf(others)
  return [...routedOf(gates)].flatMap((of) => {
    const { ip, rule, route } = ROUTING[of]
    if (needed.has(of)) return [`# other listeners need the routes of ${of}: without --listener these go, too`]
    return [`${ip} rule del ${rule} 2>/dev/null || true`, `${ip} route del ${route} 2>/dev/null || true`]
  })
}

const ROUTING = {
  ipv4: { ip: 'ip', rule: `fwmark ${MARK} lookup ${TABLE}`, route: `local 0.0.0.0/0 dev lo table ${TABLE}` },
  ipv6: { ip: 'ip -6', rule: `fwmark ${MARK} lookup ${TABLE}`, route: `local ::/0 dev lo table ${TABLE}` },
} as const

function routedOf(gates: readonly Gate[]): ReadonlySet<Family> {
  return new Set(gates.filter(({ by }) => by === 'tproxy').flatMap(({ address }) => familiesOf(address)))
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
