/**
 * The public door `sluice/testing`: runs a config, or one plugin, against simulated traffic. The whole data path is the real one and
 * plugins really run in their sandbox, in a process of its own; no port is opened, nothing is dialled. For any test runner.
 */
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Duration, UseOptions } from './plugin.ts'
import type { ConnectInit, SimulatedConnection } from './testing/connection.ts'
import type { FetchStub } from './testing/fetch-stub.ts'
import type { LogLine, Source } from './testing/messages.ts'
import { PLUGIN_UPSTREAM } from './testing/messages.ts'
import type { SimulatedInit } from './testing/request.ts'
import type { SimulatedResponse } from './testing/response.ts'
import { Simulation, type SimulationOptions } from './testing/simulation.ts'
import type { Stub } from './testing/stub.ts'
import type { TcpStub } from './testing/tcp-stub.ts'

export { type ConnectInit, SimulatedConnection } from './testing/connection.ts'
export type { FetchRequest, FetchStub } from './testing/fetch-stub.ts'
export type { Change, LogLine } from './testing/messages.ts'
export type { SimulatedInit } from './testing/request.ts'
export { SimulatedResponse } from './testing/response.ts'
export type { Failure, FailureKind, Stub, StubFunction, StubReply } from './testing/stub.ts'
export { hangs, refused, reset, StubRequest, unreachable } from './testing/stub.ts'
export type { StubConnection, TcpReply, TcpStub, TcpStubFunction } from './testing/tcp-stub.ts'

export interface SimulateOptions {
  /**
   * What stands in for the upstreams, by their names; for a destination that is a URL, by its text. An upstream without a stub of its
   * own may have one for an endpoint, by its address, and `'*'` takes the rest. What has none answers 502 and says so. Behind a forward
   * proxy stand the hosts that requests name: `'example.com'`, `'example.com:8080'`.
   */
  upstreams?: Readonly<Record<string, Stub>> | undefined
  /** The same for upstreams that connections of TCP come to. What has none resets the connection, and says so. */
  tcp?: Readonly<Record<string, TcpStub>> | undefined
  /** Variables for the config, beside those that are set; undefined takes one away. */
  env?: Readonly<Record<string, string | undefined>> | undefined
  /** Called for each line that a plugin prints. `logs` holds them all. */
  log?: ((line: LogLine) => void) | undefined
  /** Answers the `fetch` of plugins, to places that they were granted. Without it their `fetch` rejects. */
  fetch?: FetchStub | undefined
  /** What plugins find in their `kv`, by the plugin's name. */
  kv?: Readonly<Record<string, Readonly<Record<string, string>>>> | undefined
}

export interface SimulatePluginOptions extends Omit<SimulateOptions, 'upstreams' | 'tcp' | 'kv'>, UseOptions {
  /** As in the config: `blockBots({ agents: ['evilbot'] })`. */
  options?: unknown
  /** The endpoint behind the plugin. Default: answers 200 `ok`. */
  upstream?: Stub | undefined
  /** The endpoint behind a plugin of connections (`onConnection`, `onClientHello`, `onData`), which is then asked by a TCP listener: `connect`. */
  tcp?: TcpStub | undefined
  /** What the plugin finds in its `kv`. */
  kv?: Readonly<Record<string, string>> | undefined
}

export interface Simulated extends AsyncDisposable {
  /**
   * Sends a request: `http://api.example.com/v1/me`, or `/v1/me` for `http://localhost/v1/me`. Resolves once the response is complete;
   * rejects if the proxy breaks it off. Bodies of requests and responses are whole before they are passed on.
   */
  fetch(url: string | URL, init?: SimulatedInit): Promise<SimulatedResponse>
  /**
   * Opens a connection to a TCP listener, named where there are several: sends a hello and data, then ends it. Resolves once it is over, also
   * if the proxy ends it: `reason` says why.
   *
   * ```ts
   * const conn = await proxy.connect('edge', { sni: 'bank.example.com', from: '10.0.0.9', data: 'ping' })
   * assert.is(conn.route, 'edge/bank')
   * ```
   */
  connect(listener?: string, init?: ConnectInit): Promise<SimulatedConnection>
  connect(init: ConnectInit): Promise<SimulatedConnection>
  /** What plugins have printed, and how they have failed, so far. */
  readonly logs: readonly LogLine[]
  /** What a plugin keeps in its `kv` by now. Its name may be left out where one plugin alone keeps something. */
  kv(plugin?: string): Promise<Record<string, string>>
  /** Another stub for an upstream, from the next request on. */
  stub(upstream: string, stub: Stub): Promise<void>
  /**
   * Puts the clock of all timeouts, of every `ttl` and of plugins (`Date`, `setTimeout`, their deadlines) forward, `'31s'` or milliseconds, without
   * waiting. `Date` of the test, and of the config, stays as it is.
   */
  advance(duration: Duration | number): Promise<void>
  /** Takes the config into use again, or another one, as a reload does. Rejects, and changes nothing, if it is not valid. */
  reload(config?: string | URL): Promise<void>
  /** Ends the simulation. `await using` does so by itself, and a process that ends takes its simulations along. */
  close(): Promise<void>
}

/**
 * Simulates a config. `config`: path of its file, relative to the working directory, or a `file:` URL, such as
 * `new URL('../proxy.config.ts', import.meta.url)`. Rejects with a code frame for each problem if it is not valid.
 *
 * ```ts
 * await using proxy = await simulate('./proxy.config.ts', { upstreams: { api: (req) => new Response('hi ' + req.path) } })
 * const res = await proxy.fetch('http://api.example.com/v1/me', { headers: { 'user-agent': 'evilbot' }, from: '10.0.0.9' })
 * assert.is(res.status, 403)
 * assert.is(res.decidedBy, 'block-bots')
 * ```
 */
export async function simulate(
  config: string | URL,
  { upstreams = {}, tcp = {}, env = {}, log, fetch, kv = {} }: SimulateOptions = {},
): Promise<Simulated> {
  return begin({ kind: 'config', file: toPath(config) }, { upstreams, tcp, env, onLog: log, fetch, kv })
}

/**
 * Simulates a plugin by itself: one listener that uses it, and one endpoint behind it. Options, grants and limits are those that a
 * config would give: `simulatePlugin('./plugins/block-bots/index.ts', { options: { agents: ['evilbot'] }, timeout: '50ms' })`.
 */
export async function simulatePlugin(plugin: string | URL, options: SimulatePluginOptions = {}): Promise<Simulated> {
  const { options: given, env = {}, log, fetch, kv = {}, upstream = () => new Response('ok'), tcp, ...use } = options
  const layer = tcp === undefined ? 'http' : 'tcp'
  const source: Source = { kind: 'plugin', file: toPath(plugin), options: given, use, layer }
  const stubs: Pick<SimulationOptions, 'upstreams' | 'tcp'> =
    tcp === undefined ? { upstreams: { [PLUGIN_UPSTREAM]: upstream }, tcp: {} } : { upstreams: {}, tcp: { [PLUGIN_UPSTREAM]: tcp } }
  return begin(source, { ...stubs, env, onLog: log, fetch, kv: { '': kv } })
}

async function begin(source: Source, options: Parameters<typeof Simulation.start>[1]): Promise<Simulated> {
  const simulation = await Simulation.start(source, options)
  return {
    fetch: (url, init) => simulation.fetch(url, init),
    connect: (first?: string | ConnectInit, init: ConnectInit = {}) =>
      typeof first === 'object' ? simulation.connect(null, first) : simulation.connect(first ?? null, init),
    logs: simulation.logs,
    kv: (plugin) => simulation.kv(plugin),
    stub: (upstream, stub) => simulation.stub(upstream, stub),
    advance: (duration) => simulation.advance(duration),
    reload: (config) => simulation.reload(config === undefined ? null : toPath(config)),
    close: () => simulation.close(),
    [Symbol.asyncDispose]: () => simulation.close(),
  }
}

function toPath(file: string | URL): string {
  return file instanceof URL || file.startsWith('file:') ? fileURLToPath(file) : resolve(file)
}
