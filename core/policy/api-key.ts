/** `apiKey`: a key in a field or in the query, else 401. */
import type { ApiKeyOptions } from '../dsl/access-policies.ts'
import { type HookCall, makeHook, type Verdict } from '../hooks.ts'
import type { RequestHead } from '../net/http1/head.ts'
import { dropField, fieldText } from './identity-field.ts'
import type { PolicyKind } from './policy.ts'
import { refusal } from './refusal.ts'
import { SecretTable, secretDigest } from './secret-table.ts'

/** Longer ones are nobody's. */
const MOST_LENGTH = 1024
const FIELDS = { 'WWW-Authenticate': 'ApiKey' }
const MISSING = refusal('unauthorized', 'no key', FIELDS)
const WRONG = refusal('unauthorized', 'a wrong key', FIELDS)

export const apiKey: PolicyKind<ApiKeyOptions> = {
  isPure: true,
  bind({ header, query, keys, passOn = true, userHeader }) {
    const table = new SecretTable(Object.entries(keys).map(([owner, key]) => [Buffer.from(key), owner]))
    const ask = ({ request }: HookCall): Verdict | null => {
      if (userHeader !== undefined) dropField(request, userHeader)
      const key = keyIn(request, header, query)
      if (key === null) return MISSING
      const owner = key.length > MOST_LENGTH ? undefined : table.ownerOf(secretDigest(key))
      if (owner === undefined) return WRONG
      request.user = owner
      request.isPersonal = true
      if (userHeader !== undefined) request.set(userHeader, fieldText(owner))
      if (!passOn) takeOut(request, header, query)
      return null
    }
    return makeHook('apiKey', { onRequest: ask })
  },
  describe({ header, query, keys }) {
    const places = [header === undefined ? '' : `the field ${header}`, query === undefined ? '' : `?${query}=`].filter(
      (place) => place !== '',
    )
    const count = Object.keys(keys).length
    return `${count} key${count === 1 ? '' : 's'} in ${places.join(' or ')}`
  },
}

function keyIn(request: RequestHead, header: string | undefined, query: string | undefined): Buffer | null {
  const field = header === undefined ? null : request.get(header)
  if (field !== null) return Buffer.from(field, 'latin1')
  const parameter = query === undefined || request.search === '' ? null : new URLSearchParams(request.search).get(query)
  return parameter === null ? null : Buffer.from(parameter)
}

function takeOut(request: RequestHead, header: string | undefined, query: string | undefined): void {
  if (header !== undefined) request.delete(header)
  if (query === undefined || request.search === '') return
  const params = new URLSearchParams(request.search)
  if (!params.has(query)) return
  params.delete(query)
  const text = params.toString()
  request.search = text === '' ? '' : `?${text}`
}
