/** Which verdicts make sense where: a guest may answer anything. */
import type { HookCall, Verdict } from '../hooks.ts'
import {
  type HookName,
  KIND_CLIENT_HELLO,
  KIND_CONNECTION,
  KIND_DATA,
  KIND_ERROR,
  KIND_HEAD,
  KIND_LOG,
  KIND_MESSAGE,
  KIND_REQUEST_BODY,
  KIND_RESPONSE_BODY,
  KIND_UPGRADE,
} from './wire.ts'

/** What it is called in the plugin; null: it is none. */
export function hookOf(kind: number, call: HookCall): HookName | null {
  if (kind === KIND_HEAD) return call.response === null ? 'onRequest' : 'onResponse'
  return kindNames[kind] ?? null
}

const kindNames: Readonly<Record<number, HookName>> = {
  [KIND_UPGRADE]: 'onUpgrade',
  [KIND_ERROR]: 'onError',
  [KIND_REQUEST_BODY]: 'onRequestBody',
  [KIND_RESPONSE_BODY]: 'onResponseBody',
  [KIND_MESSAGE]: 'onMessage',
  [KIND_LOG]: 'onLog',
  [KIND_CONNECTION]: 'onConnection',
  [KIND_CLIENT_HELLO]: 'onClientHello',
  [KIND_DATA]: 'onData',
}

/** A sentence about a verdict that does not fit the hook that gave it; null if it does. */
export function misplaced(verdict: Verdict, call: HookCall, kind: number): string | null {
  if (verdict.kind === 'routeTo' && kind === KIND_HEAD && call.response !== null)
    return 'onResponse cannot route: the response is here already'
  return mayGive(verdict.kind, kind) ? null : `the hook answered what does not belong there: ${verdict.kind}`
}

function mayGive(verdict: Verdict['kind'], kind: number): boolean {
  switch (kind) {
    case KIND_HEAD:
    case KIND_UPGRADE:
      return verdict === 'respond' || verdict === 'routeTo'
    case KIND_ERROR:
      return verdict === 'respond'
    case KIND_REQUEST_BODY:
      return verdict === 'bytes' || verdict === 'respond' || verdict === 'deny'
    case KIND_RESPONSE_BODY:
    case KIND_MESSAGE:
    case KIND_DATA:
      return verdict === 'bytes' || verdict === 'deny'
    case KIND_CONNECTION:
    case KIND_CLIENT_HELLO:
      return verdict === 'deny' || verdict === 'routeTo'
    case KIND_LOG:
      return verdict === 'entries'
    default:
      return false
  }
}
