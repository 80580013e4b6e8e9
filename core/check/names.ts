/** Names that do not resolve here and now: a warning, for they may where the proxy runs. All are asked for at once, and not for long. */
import type { HostName } from '../config/facts.ts'
import type { Problem } from '../config/problems.ts'
import { DnsCache, type Resolved } from '../upstream/dns.ts'

export interface NameOptions {
  /** Default 2 s. */
  readonly deadlineMs?: number
  /** As the proxy itself does, unless given. */
  readonly resolve?: (name: string, done: Resolved) => void
}

export async function checkNames(hosts: readonly HostName[], { deadlineMs = 2_000, resolve }: NameOptions = {}): Promise<Problem[]> {
  if (hosts.length === 0) return []
  const dns = resolve === undefined ? new DnsCache() : null
  const ask = resolve ?? ((name: string, done: Resolved): void => dns!.resolve(name, done))
  const { promise: late, resolve: onLate } = Promise.withResolvers<null>()
  const timer = setTimeout(() => onLate(null), deadlineMs)
  const answers = hosts.map((host) => {
    const { promise, resolve: done } = Promise.withResolvers<Problem[]>()
    ask(host.name, (_addresses, error) => done(error === null ? [] : [warningOf(host, error)]))
    return Promise.race([promise, late.then(() => [warningOf(host, 'dns_timeout')])])
  })
  try {
    return (await Promise.all(answers)).flat()
  } finally {
    clearTimeout(timer)
  }
}

function warningOf({ name, path, place }: HostName, error: 'dns_error' | 'dns_timeout'): Problem {
  const message = error === 'dns_error' ? `the name ${name} does not resolve here` : `the name ${name} did not resolve in time`
  return { severity: 'warning', path, message, place }
}
