/** The hooks of one use, ready to be called, and what the host is told of them. */
import {
  type HookName,
  hookNames,
  KIND_ERROR,
  KIND_HEAD,
  KIND_REQUEST_BODY,
  KIND_RESPONSE_BODY,
  KIND_UPGRADE,
  KINDS,
  type SetUp,
} from '../wire.ts'
import { constantEdits } from './constant.ts'
import type { AnyHook, CheckedHook, CheckedHooks } from './definition.ts'
import { needsOf } from './needs.ts'
import { functionText, matches } from './primordials.ts'

export type UseHooks = { readonly [name in HookName]: AnyHook | null } & { readonly index: number }

export function installHooks(index: number, hooks: CheckedHooks): { readonly installed: UseHooks; readonly told: SetUp } {
  const names: HookName[] = []
  const installed = { index } as Record<HookName, AnyHook | null> & { index: number }
  let isAsync = false
  for (let i = 0; i < hookNames.length; i++) {
    const name = hookNames[i]!
    const hook = hooks[name]
    installed[name] = hook?.run ?? null
    if (hook === undefined) continue
    names[names.length] = name
    if (matches(/^async\b/, functionText(hook.source))) isAsync = true
  }
  const needs = new Array<number>(KINDS).fill(0)
  needs[KIND_HEAD] = need(hooks.onRequest, 0)
  needs[KIND_UPGRADE] = need(hooks.onUpgrade, 0)
  needs[KIND_ERROR] = need(hooks.onError, 1)
  needs[KIND_REQUEST_BODY] = need(hooks.onRequestBody, 1)
  needs[KIND_RESPONSE_BODY] = need(hooks.onResponseBody, 1)
  const told: SetUp = {
    hooks: names,
    responseNeeds: need(hooks.onResponse, 0),
    viewNeeds: need(hooks.onResponse, 1),
    needs,
    requestBody: body(hooks.onRequestBody),
    responseBody: body(hooks.onResponseBody),
    requestEdits: hooks.onRequest === undefined ? null : constantEdits(hooks.onRequest.source),
    responseEdits: hooks.onResponse === undefined ? null : constantEdits(hooks.onResponse.source),
    isAsync,
  }
  return { installed, told }
}

function need(hook: CheckedHook | undefined, parameter: 0 | 1 | 2): number {
  return hook === undefined ? 0 : needsOf(hook.source)[parameter]
}

function body(hook: CheckedHook | undefined): SetUp['requestBody'] {
  if (hook === undefined) return null
  const { mode, maxBytes, types } = hook
  return { mode, maxBytes, types, keepsState: need(hook, 2) !== 0 }
}
