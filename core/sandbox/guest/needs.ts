/**
 * Which parts of a call a hook can look at, read off its source: what it provably never touches need not cross. Whenever the source
 * is not plain enough to tell, it is everything; a part that was left out and is read all the same throws.
 */
import { NEEDS_ALL, NEEDS_CERTIFICATE, NEEDS_FIELDS, NEEDS_HOST, NEEDS_IP, NEEDS_METHOD, NEEDS_PATH, NEEDS_SEARCH } from '../wire.ts'
import type { AnyHook } from './definition.ts'
import { functionText } from './primordials.ts'

/** Needs of the first, second and third parameter; of the third, 0 says that it is only asked for `last` and `type`. */
export function needsOf(hook: AnyHook): readonly [first: number, second: number, third: number] {
  const text = functionText(hook)
  const found = SIMPLE_FUNCTION.exec(text)
  // An escape may spell a name; eval and arguments reach parameters without their names; a bound function hides its text.
  if (found === null || /\\u|\beval\b|\barguments\b|\[native code\]/.test(text)) return [NEEDS_ALL, NEEDS_ALL, NEEDS_ALL]
  const [, first = found[4], second, third, , body = ''] = found
  const needs = (name: string | undefined): number => (name === undefined ? 0 : needsFor(name, body))
  return [needs(first), needs(second), needs(third)]
}

/** `name(a, b) {…}`, `function (a) {…}`, `(a) => …`, `a => …`, each perhaps async: parameters that are plain names. */
const SIMPLE_FUNCTION =
  /^(?:async\s+)?(?:function\b\s*)?(?:[\w$]*\s*\(\s*(?:([\w$]+)\s*(?:,\s*([\w$]+)\s*(?:,\s*([\w$]+)\s*)?)?)?\)|([\w$]+)(?=\s*=>))\s*(?:=>)?([\s\S]*)$/

function needsFor(name: string, body: string): number {
  let needs = 0
  const mentions = new RegExp(`(?<![\\w$])${name.replaceAll('$', '\\$')}(?![\\w$])`, 'g')
  for (const { index } of body.matchAll(mentions)) {
    const rest = body.slice(index + name.length)
    const property = /^\s*\??\.\s*([\w$]+)/.exec(rest)
    needs |= property === null ? NEEDS_ALL : needOf(property[1]!, rest.slice(property[0].length))
  }
  return needs
}

function needOf(property: string, after: string): number {
  switch (property) {
    case 'method':
      return NEEDS_METHOD
    case 'path':
      return NEEDS_PATH
    case 'query':
    case 'search':
      return NEEDS_SEARCH
    case 'ip':
      return NEEDS_IP
    case 'host':
      return NEEDS_HOST
    case 'clientCertificate':
      return NEEDS_CERTIFICATE
    case 'status':
    case 'last':
    case 'type':
      return 0
    case 'headers':
      return /^\s*\.\s*(set|append|delete)\s*\(/.test(after) ? 0 : NEEDS_FIELDS
    case 'cookies':
      return NEEDS_FIELDS
    default:
      return NEEDS_ALL
  }
}
