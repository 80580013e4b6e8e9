/** Options of the policies that write fields. */
import { isHostName, isIp } from '../net/address.ts'
import { isFieldValue, isHostOwned, isToken } from '../net/http1/fields.ts'
import { isObject, show } from './report.ts'
import {
  anything,
  chosen,
  duration,
  flag,
  object,
  oneOf,
  oneOrMany,
  record,
  refused,
  ruled,
  type Schema,
  size,
  textThat,
  wrong,
} from './schema-values.ts'

export const fieldToken: Schema = textThat((name) => (isToken(name) ? null : `not the name of a field: ${show(name)}`))

/** A field that a policy sets or takes out. */
export const fieldName: Schema = textThat((name) => {
  if (!isToken(name)) return `not the name of a field: ${show(name)}`
  return isHostOwned(name.toLowerCase()) ? `${name} is set by the proxy alone` : null
})

const removedName = textThat((name) => {
  const prefix = name.endsWith('*') ? name.slice(0, -1) : name
  if (!isToken(prefix) || prefix.includes('*')) return `not the name of a field, nor the beginning of one with a * behind it: ${show(name)}`
  return isHostOwned(name.toLowerCase()) ? `${name} is set by the proxy alone` : null
})
const fieldText = textThat((value) => (isFieldValue(value) ? null : 'a field value holds no line break or control character'))
const notAValue = wrong('text or a function of the request')
const fieldValue = chosen((value) => (typeof value === 'function' ? anything : typeof value === 'string' ? fieldText : notAValue))
const fields = record(fieldValue, fieldName)
const rules = object({ remove: oneOrMany(removedName), set: fields, add: fields })

export const headersOptions: Schema = ruled({ request: rules, response: rules }, ({ request, response }) =>
  request === undefined && response === undefined ? 'expected request, response or both' : null,
)

const authority = textThat((written) => {
  const name = written.replace(/:\d+$/, '')
  return isHostName(name) || isIp(name.replace(/^\[|\]$/g, '')) ? null : `expected a host such as 'app.internal:8080', got ${show(written)}`
})
export const hideServersOptions: Schema = object({ links: flag, cookies: flag, remove: oneOrMany(fieldName), hosts: oneOrMany(authority) })

export const requestIdOptions: Schema = object({ header: fieldName, trust: flag })

const originText = textThat((written) => {
  if (written === '*' || written === 'null' || URL.parse(written)?.origin === written.toLowerCase()) return null
  return `expected an origin such as 'https://app.example.com', got ${show(written)}`
})
const notAnOrigin = wrong("'*', an origin such as 'https://app.example.com' or a RegExp")
const origin = chosen((value) => (value instanceof RegExp ? anything : typeof value === 'string' ? originText : notAnOrigin))
const methods = oneOrMany(textThat((name) => (isToken(name) ? null : `not a method: ${show(name)}`)))
const names = oneOrMany(fieldToken)
const corsFields = object({ origins: oneOrMany(origin), methods, headers: names, expose: names, credentials: flag, maxAge: duration }, [
  'origins',
])

export const corsOptions: Schema = chosen((value) =>
  isObject(value) && value.credentials === true && [value.origins].flat().includes('*')
    ? refused("with credentials browsers take no '*': name the origins")
    : corsFields,
)

export const mediaType: Schema = textThat((type) =>
  /^(?:[\w.-]+\/(?:\*|[\w.+-]+)|\*\+[\w.-]+)$/.test(type)
    ? null
    : `expected a media type such as 'text/html', 'text/*' or '*+json', got ${show(type)}`,
)
export const compressOptions: Schema = object({
  encodings: oneOrMany(oneOf('zstd', 'br', 'gzip')),
  minSize: size,
  types: oneOrMany(mediaType),
})
