/**
 * The public door `sluice`: what a `proxy.config.ts` is written with. Helpers only wrap what they are given; whether it is right is
 * decided when the config is loaded, all of it at once. What a comment below calls planned is refused then, never ignored.
 */
export * from './dsl/access-policies.ts'
export * from './dsl/cache-policy.ts'
export * from './dsl/config.ts'
export * from './dsl/files.ts'
export * from './dsl/forward.ts'
export * from './dsl/http.ts'
export * from './dsl/lists.ts'
export * from './dsl/log-policy.ts'
export * from './dsl/message-policies.ts'
export * from './dsl/policies.ts'
export * from './dsl/routes.ts'
export * from './dsl/store.ts'
export * from './dsl/tcp.ts'
export * from './dsl/tls.ts'
export * from './dsl/traffic-policies.ts'
export * from './dsl/udp.ts'
export * from './dsl/upstreams.ts'
export { env } from './environment.ts'
export type { Duration, Reply, RequestView, Size } from './plugin.ts'
export { respond } from './plugin.ts'
