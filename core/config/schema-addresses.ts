/** What is listened on: that it is an address, that nothing listens where something else does, and that admin is not open to everyone. */
import { formatListen, parseIpv4, parseIpv6, parseListen } from '../net/address.ts'
import type { ListenAddress } from '../plan/plan.ts'
import { formatPath, type Path } from './positions.ts'
import { type Message, type Report, show } from './report.ts'
import type { ListenPart } from './schema-parts.ts'

interface Known {
  readonly address: ListenAddress
  readonly path: Path
}

export function checkAddresses(listens: readonly ListenPart[], report: Report, adminToken = process.env.SLUICE_ADMIN_TOKEN): void {
  const known: Known[] = []
  for (const { value, path, isAdmin, protocol } of listens) {
    const address = typeof value === 'string' || typeof value === 'number' ? parseListen(value, protocol) : null
    if (address === null) {
      report.error(
        path,
        `expected an address such as ':8080', '127.0.0.1:8080', '[::1]:8080', 'unix:/run/x.sock' or a port, got ${show(value)}`,
      )
      continue
    }
    if (address.kind === 'unix' && protocol === 'udp') {
      report.error(path, `UDP has no unix sockets here: expected an address such as ':53' or '127.0.0.1:53', got ${show(value)}`)
      continue
    }
    const other = known.find((one) => isSame(one.address, address))
    if (other !== undefined) report.error(path, takenBy(address, other))
    known.push({ address, path })
    if (isAdmin && !isLoopback(address) && !adminToken)
      report.error(
        path,
        `admin on ${formatListen(address)} can be reached from other machines: set SLUICE_ADMIN_TOKEN, or listen on 127.0.0.1`,
      )
  }
}

function takenBy(address: ListenAddress, { address: other, path }: Known): Message {
  const [name, taken] = [formatListen(address), formatListen(other)]
  return (placeOf) =>
    name === taken
      ? `${name} is listened on already, by ${formatPath(path)} (${placeOf(path)})`
      : `${name} cannot be listened on: ${formatPath(path)} takes that port with ${taken} (${placeOf(path)})`
}

function isSame(a: ListenAddress, b: ListenAddress): boolean {
  if (a.kind === 'unix' || b.kind === 'unix') return a.kind === 'unix' && b.kind === 'unix' && a.path === b.path
  if (a.kind !== b.kind || a.port !== b.port || a.port === 0) return false
  const [one, two] = [addressesOf(a.host), addressesOf(b.host)]
  return one.some((x) => two.some((y) => x === y || coversAll(x, y) || coversAll(y, x)))
}

/** Canonical, so that two ways of writing one are equal. */
function addressesOf(host: string | null): readonly string[] {
  if (host === null) return ['any']
  if (host.toLowerCase() === 'localhost') return [String(parseIpv4('127.0.0.1')), '0:0:0:0:0:0:0:1']
  const ipv4 = parseIpv4(host)
  if (ipv4 >= 0) return [String(ipv4)]
  const words = new Uint16Array(8)
  if (!parseIpv6(host, words)) return [host.toLowerCase()]
  // A socket on :: takes IPv4 as well.
  return words.every((word) => word === 0) ? ['any'] : [words.join(':')]
}

const ANY_IPV4 = '0'

/** Whether a socket on `a` takes the port on `b` too. */
function coversAll(a: string, b: string): boolean {
  return a === 'any' || (a === ANY_IPV4 && !b.includes(':'))
}

export function isLoopback(address: ListenAddress): boolean {
  if (address.kind === 'unix') return true
  return address.host !== null && (address.host === 'localhost' || /^127\.\d+\.\d+\.\d+$/.test(address.host) || address.host === '::1')
}
