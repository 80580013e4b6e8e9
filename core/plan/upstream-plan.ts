/** Of the plan: upstreams, and what keeps them answering. */
import type { BalancerKind } from '../balancer/balancer.ts'

export interface UpstreamPlan {
  readonly name: string
  /** Where they are discovered, one that stands for them. */
  readonly endpoints: readonly EndpointPlan[]
  /** Null: its endpoints are those of the plan. */
  readonly discovery: DiscoveryPlan | null
  /** Where the proxy stands; null: that makes no difference. */
  readonly zone: string | null
  readonly balancer: BalancerKind
  /** Null: none. */
  readonly sticky: StickyPlan | null
  /** Milliseconds in which an endpoint comes to its weight; 0: at once. */
  readonly slowStart: number
  /** `preserve`: the client's Host; `endpoint`: host:port of the endpoint; `name`: `hostName`. */
  readonly host: 'preserve' | 'endpoint' | 'name'
  /** For `host: 'name'`: the authority of the URL or the upstream's name. */
  readonly hostName: string
  readonly tls: {
    /** Null: the endpoint's name. */
    readonly servername: string | null
    /** Absolute paths of files, or PEM texts. */
    readonly ca: string | null
    readonly cert: string | null
    readonly key: string | null
  } | null
  readonly timeouts: UpstreamTimeouts
  /** Connections kept open and idle, an endpoint and worker. Default 256. */
  readonly idleConnections: number
  /** Null: bodies pass as they come. */
  readonly buffer: BufferPlan | null
  /** Null: one try; a stale kept-alive connection is replaced beside it. */
  readonly retries: RetryPlan | null
  /** Null: no endpoint is ejected. */
  readonly outlier: OutlierPlan | null
  /** Null: none. */
  readonly circuitBreaker: CircuitBreakerPlan | null
  /** Null: none. */
  readonly healthCheck: HealthCheckPlan | null
  /** Below this share of available endpoints, all are used. Default 0.5. */
  readonly panic: number
  /** Version of the PROXY header that each connection begins with; null: none. */
  readonly proxyProtocol: 1 | 2 | null
  /** Connections an upstream and worker; Infinity. */
  readonly connections: number
  /** Who may wait where there are so many; null: nobody. */
  readonly pending: PendingPlan | null
  /** Null: each try is alone. */
  readonly hedging: HedgingPlan | null
  /** Null: as many requests as there are connections for. */
  readonly adaptive: AdaptivePlan | null
}

/** Bodies that are kept for whoever is slower. Null: of that side none. */
export interface BufferPlan {
  readonly request: BufferBounds | null
  readonly response: BufferBounds | null
  /** Bytes on disk of all bodies together, a worker; 0: none. */
  readonly diskBytes: number
}

export interface BufferBounds {
  /** Bytes of one body; what comes on top is on disk. Default 64 KiB. */
  readonly memoryBytes: number
}

export interface RetryPlan {
  /** Tries in all for one exchange, 2 or more. */
  readonly attempts: number
  readonly onConnect: boolean
  readonly onReset: boolean
  readonly onTimeout: boolean
  readonly statuses: readonly number[]
  /** Of the requests of the last ten seconds, how many may be sent once more. Default 0.2. */
  readonly budget: number
  /** Milliseconds for one try, until the head of its response is complete. Default Infinity. */
  readonly perTry: number
}

/** When an endpoint is kept off for what came of its requests. */
export interface OutlierPlan {
  /** Default 5. */
  readonly consecutiveFailures: number
  /** Of the requests within `window`, failed. Default Infinity. */
  readonly failureRatio: number
  /** So many within `window`, before their share or their times count. Default 20. */
  readonly minRequests: number
  /** Milliseconds on average within `window`, until the head of an answer. Default Infinity. */
  readonly latency: number
  /** Milliseconds. Default 10 s. */
  readonly window: number
  /** Milliseconds, the first time. Default 30 s. */
  readonly ejectFor: number
  /** Default 0.5. */
  readonly maxEjected: number
}

/** When a second endpoint is asked, too. */
export interface HedgingPlan {
  /** Milliseconds without the head of an answer; NaN: as `quantile` says. */
  readonly after: number
  /** Of the latest answers, from 0 to 1; null: as `after` says. */
  readonly quantile: number | null
}

/** How many requests are under way at a time. */
export interface AdaptivePlan {
  /** Default 4, 1,000 and 20. */
  readonly min: number
  readonly max: number
  readonly start: number
  /** Answers may take so many times as long as in calm times. Default 1.5. */
  readonly tolerance: number
  /** Requests that may wait, and for how many milliseconds. */
  readonly pending: number
  readonly maxWait: number
}

export interface PendingPlan {
  readonly most: number
  /** Milliseconds. Default: the time to connect. */
  readonly maxWait: number
}

/** When an upstream as a whole is left alone. */
export interface CircuitBreakerPlan {
  /** Of the requests within `window`, failed after all their tries. Default 0.5. */
  readonly failureRatio: number
  /** So many within `window`, before their share counts. Default 20. */
  readonly minRequests: number
  /** Milliseconds. Default 10 s. */
  readonly window: number
  /** Milliseconds. Default 10 s. */
  readonly openFor: number
}

export interface HealthCheckPlan {
  /** `tcp`: it accepts a connection; `tls`: it shakes hands, too; `http`: it answers a GET; `grpc`: it says over HTTP/2 that it serves. */
  readonly type: 'http' | 'tcp' | 'tls' | 'grpc'
  /** Of gRPC; `''`: the server as a whole. */
  readonly service: string
  readonly path: string
  /** Null: as requests name it, or the endpoint's own where they name their client's. */
  readonly host: string | null
  /** Null: 200 to 299. */
  readonly statuses: readonly number[] | null
  /** Milliseconds from one check to the next. Default 5 s. */
  readonly interval: number
  /** Milliseconds for one check. Default 1 s. */
  readonly timeout: number
  /** Default 3. */
  readonly unhealthyAfter: number
  /** Default 2. */
  readonly healthyAfter: number
}

/** Where endpoints come from. `zone`: the one that is preferred. */
export type DiscoveryPlan = { readonly zone: string | null } & (
  | { readonly kind: 'dns'; readonly host: string; readonly port: number }
  | { readonly kind: 'srv'; readonly name: string }
  | { readonly kind: 'file' /** Absolute. */; readonly path: string }
  | {
      readonly kind: 'etcd'
      readonly urls: readonly string[]
      readonly prefix: string
      readonly user: { readonly name: string; readonly password: string } | null
      readonly token: string | null
      readonly tls: RegistryTlsPlan
    }
  | {
      readonly kind: 'kubernetes'
      readonly service: string
      /** Null: the pod's own. */
      readonly namespace: string | null
      /** Null: the only one. */
      readonly port: string | number | null
      /** Null: that of the cluster that the proxy runs in. */
      readonly server: string | null
      readonly token: string | null
      readonly tokenFile: string | null
      readonly tls: RegistryTlsPlan
    }
  | { readonly kind: 'poll'; readonly find: () => unknown /** Milliseconds. */; readonly interval: number }
)

export interface RegistryTlsPlan {
  /** Absolute paths or PEM texts, read again for each connection: they may be exchanged. Null: none. */
  readonly ca: string | null
  readonly cert: string | null
  readonly key: string | null
  /** Null: the host's. */
  readonly servername: string | null
}

/** A cookie by which clients stay with their endpoint. */
export interface StickyPlan {
  readonly cookie: string
  /** Null: that of this run of the proxy. */
  readonly secret: string | null
  /** Seconds; null: until the browser ends. */
  readonly maxAge: number | null
  readonly path: string
  /** Null: where the request came by TLS. */
  readonly secure: boolean | null
  readonly sameSite: 'Lax' | 'Strict' | 'None'
}

export interface EndpointPlan {
  /** As written, `127.0.0.1:3001`: the name in logs and metrics. */
  readonly address: string
  readonly target:
    | { readonly kind: 'ip'; readonly host: string; readonly port: number }
    | { readonly kind: 'name'; readonly host: string; readonly port: number }
    | { readonly kind: 'unix'; readonly path: string }
  /** Whole number ≥ 0; 0 takes nothing. */
  readonly weight: number
  /** Those of the least are chosen first, of the others only while none of the group before is available. By priority, then by zone. */
  readonly group: number
  /** Null: it takes requests, as far as it has a weight. `sticky`: only those of clients that stay with it. `all`: none. */
  readonly drain: 'sticky' | 'all' | null
}

/** All in milliseconds. */
export interface UpstreamTimeouts {
  /** Name look-up and connect. Default 5 s. */
  readonly connect: number
  /** From the end of the request to the end of the response head. Default 60 s. */
  readonly response: number
  /** Between two reads of a response body. Default 60 s. */
  readonly idle: number
  /** A kept-alive connection that nobody uses. Default 60 s. */
  readonly keepAlive: number
  /** From the first try until the head of the response that is passed on. Default Infinity. */
  readonly total: number
}
