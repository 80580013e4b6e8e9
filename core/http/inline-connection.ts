/** `onConnection`, `onClientHello` and `onData` of an inline hook: trusted, run on the host, with bytes of their own. */
import { ProxyError } from '../errors.ts'
import type { Answer, ConnectionPart, DataPart, Hook, HookCall, Verdict } from '../hooks.ts'
import type { Connection, ConnectionHooks, Deny, Reroute } from '../plugin.ts'

// biome-ignore lint/suspicious/noConfusingVoidType: what a hook of the user may return, as its type says
type Returned = Deny | Reroute | Uint8Array | string | undefined | void
type Settle = <T>(call: HookCall, returned: T | Promise<T>, judge: (value: T) => Verdict | null) => Answer

/** What `makeHook` needs for them. `stateOf`: what is kept for one connection. */
export function inlineConnection(
  hooks: ConnectionHooks,
  stateOf: (state: number) => Record<string, unknown>,
  settle: Settle,
): Partial<Pick<Hook, 'onConnection' | 'onClientHello' | 'onData'>> {
  const { onConnection, onClientHello, onData } = hooks
  const viewOf = ({ connection, state }: ConnectionPart | DataPart): Connection => ({ ...connection, state: stateOf(state) })
  const part = (call: HookCall) => call.part as ConnectionPart
  return {
    onConnection:
      onConnection === undefined ? null : (call) => settle<Returned>(call, onConnection.call(hooks, viewOf(part(call))), toDecision),
    onClientHello:
      onClientHello === undefined
        ? null
        : (call) => settle<Returned>(call, onClientHello.call(hooks, part(call).hello!, viewOf(part(call))), toDecision),
    onData:
      onData === undefined
        ? null
        : (call) => {
            const data = call.part as DataPart
            return settle<Returned>(call, onData.call(hooks, new Uint8Array(data.bytes), viewOf(data), data.from), toBytes)
          },
  }
}

function toDecision(value: Returned): Verdict | null {
  if (value === undefined || value === null) return null
  if (typeof value === 'object' && 'kind' in value) {
    if (value.kind === 'deny') return { kind: 'deny' }
    if (value.kind === 'routeTo' && typeof value.upstream === 'string') return { kind: 'routeTo', upstream: value.upstream }
  }
  return failed('a hook of a connection returned neither deny() nor routeTo(…)')
}

function toBytes(value: Returned): Verdict | null {
  if (value === undefined || value === null) return null
  if (typeof value === 'string') return { kind: 'bytes', bytes: Buffer.from(value), isText: true }
  // A copy: the user's function may go on writing to it.
  if (value instanceof Uint8Array) return { kind: 'bytes', bytes: Buffer.from(value), isText: false }
  if (value.kind === 'deny') return { kind: 'deny' }
  return failed('onData returned neither bytes nor text nor deny()')
}

function failed(detail: string): Verdict {
  return { kind: 'fail', error: new ProxyError('hook_failed', detail) }
}
