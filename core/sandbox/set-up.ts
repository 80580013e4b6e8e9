/** Reads what the guest tells of a use: nothing of it is believed unseen. Throws a sentence. */
import { isFieldValue, isHostOwned, isToken } from '../net/http1/fields.ts'
import {
  type BodySetUp,
  type HookName,
  hookNames,
  KINDS,
  MAX_BUFFERED,
  MAX_EDITS,
  NEEDS_ALL,
  OP_APPEND,
  OP_DELETE,
  OP_SET,
  type SetUp,
} from './wire.ts'

export function readSetUp(text: string): SetUp {
  const value: unknown = JSON.parse(text)
  if (typeof value !== 'object' || value === null) throw new Error('setup told what makes no sense')
  const { hooks, responseNeeds, needs, viewNeeds, requestBody, responseBody, isAsync } = value as Record<string, unknown>
  const names = Array.isArray(hooks) ? hooks.filter((name): name is HookName => (hookNames as readonly unknown[]).includes(name)) : []
  return {
    hooks: names,
    responseNeeds: needsOf(responseNeeds),
    viewNeeds: needsOf(viewNeeds),
    needs: Array.from({ length: KINDS }, (_, kind) => needsOf(Array.isArray(needs) ? needs[kind] : undefined)),
    requestBody: names.includes('onRequestBody') ? bodyOf(requestBody) : null,
    responseBody: names.includes('onResponseBody') ? bodyOf(responseBody) : null,
    requestEdits: editsOf(value, 'requestEdits'),
    responseEdits: editsOf(value, 'responseEdits'),
    isAsync: isAsync === true,
  }
}

/** What could not be sent is left to the hook itself, which fails of it at its place. */
function editsOf(value: object, key: string): SetUp['requestEdits'] {
  const list = (value as Record<string, unknown>)[key]
  if (!Array.isArray(list) || list.length === 0 || list.length > 3 * MAX_EDITS || list.length % 3 !== 0) return null
  for (let i = 0; i < list.length; i += 3) {
    const [operation, name, text] = list.slice(i, i + 3)
    if (operation !== OP_SET && operation !== OP_APPEND && operation !== OP_DELETE) return null
    if (typeof name !== 'string' || !isToken(name) || isHostOwned(name.toLowerCase())) return null
    if (typeof text !== 'string' || !isFieldValue(text)) return null
  }
  return list
}

function needsOf(value: unknown): number {
  return typeof value === 'number' ? value & NEEDS_ALL : NEEDS_ALL
}

function bodyOf(value: unknown): BodySetUp {
  const { mode, maxBytes, types, keepsState } = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>
  return {
    mode: mode === 'buffer' ? 'buffer' : 'stream',
    maxBytes: typeof maxBytes === 'number' && maxBytes >= 0 ? Math.min(MAX_BUFFERED, Math.floor(maxBytes)) : 0,
    types: Array.isArray(types) ? types.map((type) => String(type).toLowerCase()) : null,
    keepsState: keepsState !== false,
  }
}
