/** What a policy of a `use` list does, and, where it can tell without counting anything or asking anybody, what it says to a request. */
import type { Policy } from '../dsl/policies.ts'
import { type Hook, type HookCall, PENDING, type Verdict } from '../hooks.ts'
import { ask } from '../http/ask.ts'
import { RequestHead } from '../net/http1/head.ts'
import { policyKind } from '../policy/kinds.ts'
import { contextForOne } from '../policy/policy.ts'
import type { PolicyStep, UseStep } from './explanation.ts'
import { clean } from './shown.ts'
import type { AskedHead } from './use.ts'

export function policyStep({ name, options }: Policy, asked: AskedHead): Omit<UseStep, 'key' | 'place'> {
  const kind = policyKind(name)
  const hook = kind.bind(options, contextForOne(asked.folder))
  const hooks = Object.entries(hook).flatMap(([moment, part]) => (/^on[A-Z]/.test(moment) && part !== null ? [moment] : []))
  const answer = kind.isPure ? answerOf(hook, asked) : PENDING
  const policy: PolicyStep = {
    does: clean(kind.describe(options, asked.head)),
    answer: answer === PENDING || answer === null ? null : inWords(answer),
    isAsked: answer !== PENDING,
  }
  const step = { name, release: null, kind: 'policy', hooks: hooks.filter((moment) => !/Connection|Hello|Data/.test(moment)) } as const
  return { ...step, isAsked: true, match: null, sees: null, grant: [], limits: null, policy }
}

function answerOf(hook: Hook, { head, ip }: AskedHead): Verdict | null | typeof PENDING {
  if (hook.onRequest === null) return PENDING
  const call: HookCall = { request: copyOf(head), response: null, ip, part: null, ended: true, resume() {} }
  return ask(hook.onRequest, call)
}

/** What it changes is not for the routes: other hooks before it were not run either. */
function copyOf(head: RequestHead): RequestHead {
  const lines = head.lines()
  const copy = new RequestHead(`${lines}\r\n`, 0, head.method, head.minor)
  copy.endFields(lines.length)
  const { path, search, host, contentLength, keepAlive, upgrade, hasIdentity } = head
  return Object.assign(copy, { path, search, host, contentLength, keepAlive, upgrade, hasIdentity })
}

function inWords(verdict: Verdict): NonNullable<PolicyStep['answer']> {
  if (verdict.kind === 'fail') return { status: verdict.error.status, code: verdict.error.code, because: clean(verdict.error.message) }
  return { status: verdict.kind === 'respond' ? verdict.status : 0, code: null, because: 'an answer of its own' }
}
