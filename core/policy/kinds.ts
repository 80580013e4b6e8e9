/** All built-in policies by their names. */
import { accessLog } from './access-log.ts'
import { apiKey } from './api-key.ts'
import { bandwidth } from './bandwidth.ts'
import { basicAuth } from './basic-auth.ts'
import { bodyLimit } from './body-limit.ts'
import { cache } from './cache.ts'
import { compress } from './compress.ts'
import { concurrency } from './concurrency.ts'
import { contentFilter } from './content-filter.ts'
import { cors } from './cors.ts'
import { faults } from './faults.ts'
import { forwardAuth } from './forward-auth.ts'
import { headers } from './headers.ts'
import { hideServers } from './hide-servers.ts'
import { ipAccess } from './ip-access.ts'
import { jwt } from './jwt.ts'
import { oidc } from './oidc.ts'
import type { PolicyKind } from './policy.ts'
import { rateLimit } from './rate-limit.ts'
import { requestId } from './request-id.ts'

/** Options are each kind's own; which ones belong to which name was checked with the config. */
const kinds: ReadonlyMap<string, PolicyKind<never>> = new Map<string, PolicyKind<never>>(
  Object.entries({
    accessLog,
    apiKey,
    bandwidth,
    basicAuth,
    bodyLimit,
    cache,
    compress,
    concurrency,
    contentFilter,
    cors,
    faults,
    forwardAuth,
    headers,
    hideServers,
    ipAccess,
    jwt,
    oidc,
    rateLimit,
    requestId,
  }),
)

export function policyKind(name: string): PolicyKind<unknown> {
  const kind = kinds.get(name)
  if (kind === undefined) throw new Error(`there is no policy ${name}`)
  return kind as PolicyKind<unknown>
}
