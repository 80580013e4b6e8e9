/** A proxy auto-configuration file: what browsers run to find out which hosts they ask by a proxy, and which themselves. */
import { formatIpv4, parseIpv4, parseIpv6 } from '../net/address.ts'
import { formatDestination, type NamedDestination } from '../net/destination.ts'

export interface PacRules {
  /** Asked without the proxy: `example.com`, `*.example.com`, addresses, networks of IPv4. In lower case. */
  readonly except: readonly string[]
}

export const PAC_TYPE = 'application/x-ns-proxy-autoconfig'

/**
 * For clients that reach the proxy at this place. What the machine itself and plain names of one label are is asked without it, for the
 * proxy would look for them on its own machine. Nothing of it makes a browser resolve names.
 */
export function writePac(proxy: NamedDestination, { except }: PacRules): string {
  const conditions = ['isPlainHostName(host)', ...[...ALWAYS, ...except].map(conditionOf)]
  return `// Made by Sluice, a proxy.
function FindProxyForURL(url, host) {
  host = host.toLowerCase().replace(/^\\[|\\]$|\\.$/g, "");
  var isAddress = /^\\d+\\.\\d+\\.\\d+\\.\\d+$/.test(host);
  if (${conditions.join(' ||\n      ')}) return "DIRECT";
  return "PROXY ${formatDestination(proxy)}";
}
`
}

const ALWAYS = ['localhost', '*.localhost', '127.0.0.0/8', '::1']

function conditionOf(written: string): string {
  const [, address, bits] = /^([\d.]+)\/(\d{1,2})$/.exec(written) ?? []
  if (address !== undefined) {
    const mask = bits === '0' ? 0 : (-1 << (32 - Number(bits))) >>> 0
    return `(isAddress && isInNet(host, "${formatIpv4((parseIpv4(address) & mask) >>> 0)}", "${formatIpv4(mask)}"))`
  }
  return written.startsWith('*.') ? `dnsDomainIs(host, ${JSON.stringify(written.slice(1))})` : `host === ${JSON.stringify(written)}`
}

/** A sentence about what cannot be told to browsers; null if it can. */
export function wrongException(written: string): string | null {
  const network = /^(.+)\/(\d+)$/.exec(written)
  if (network !== null) {
    const [, address, bits] = network
    if (parseIpv4(address!) >= 0 && Number(bits) <= 32) return null
    return parseIpv6(address!, words)
      ? 'browsers know no networks of IPv6 in such files: name hosts instead'
      : `not a network: '${written}'`
  }
  if (parseIpv4(written) >= 0 || parseIpv6(written, words)) return null
  return /^(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/i.test(written)
    ? null
    : `expected a host such as '*.example.com' or a network such as '10.0.0.0/8', got '${written}'`
}

const words = new Uint16Array(8)
