/** `ipAccess`: who may ask, by the client's address. Who is denied gets 403; on a TCP listener the connection is closed. */
import { toList } from '../config/lists.ts'
import type { IpAccessOptions } from '../dsl/access-policies.ts'
import { makeHook } from '../hooks.ts'
import { CidrSet } from '../net/cidr.ts'
import type { PolicyKind } from './policy.ts'
import { refusal } from './refusal.ts'

export const ipAccess: PolicyKind<IpAccessOptions> = {
  isPure: true,
  bind({ allow, deny }) {
    const allowed = allow === undefined ? null : new CidrSet(toList(allow))
    const denied = deny === undefined ? null : new CidrSet(toList(deny))
    const refused = refusal('forbidden', 'the address is denied')
    const mayPass = (ip: string): boolean => denied?.has(ip) !== true && (allowed === null || allowed.has(ip))
    return makeHook('ipAccess', {
      onRequest: ({ ip }) => (mayPass(ip) ? null : refused),
      onConnection: ({ part }) => (part?.kind === 'connection' && !mayPass(part.connection.ip) ? DENY : null),
    })
  },
  describe({ allow, deny }) {
    const parts = [
      deny === undefined ? '' : `denies ${toList(deny).join(', ')}`,
      allow === undefined ? '' : `allows ${toList(allow).join(', ')}`,
    ]
    return `${parts.filter((part) => part !== '').join('; ')}${allow === undefined ? '' : ' alone'}`
  },
}

const DENY = { kind: 'deny' } as const
