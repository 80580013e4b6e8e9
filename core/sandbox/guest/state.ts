/** What a plugin hands over to its next version, as JSON. What JSON would lose without a word is refused with one. */
import { MAX_STATE } from '../wire.ts'
import { arrayKind, Failure, stringify } from './primordials.ts'

const mayNot = [Map, Set, WeakMap, WeakSet, Promise, ArrayBuffer] as const

/** Empty: nothing is handed over. */
export function stateText(state: unknown): string {
  if (state === undefined) return ''
  const text = stringify(state, refuse)
  if (text === undefined) throw new Failure(`a ${typeof state} cannot be handed over: state is plain data`)
  if (text.length > MAX_STATE) throw new Failure(`more than ${MAX_STATE / 2 ** 20} MiB of state`)
  return text
}

function refuse(name: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  for (let i = 0; i < mayNot.length; i++) {
    if (value instanceof mayNot[i]!) throw lost(name, mayNot[i]!.name)
  }
  const kind = arrayKind(value)
  if (kind !== undefined) throw lost(name, `${kind}`)
  return value
}

function lost(name: string, what: string): Error {
  const hint = what === 'Map' || what === 'Set' ? `: hand over [...it], and make a ${what} of that again` : ''
  return new Failure(`${name === '' ? 'the state' : `"${name}" of the state`} is a ${what}, which JSON would lose${hint}`)
}
