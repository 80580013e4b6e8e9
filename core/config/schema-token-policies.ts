/** Options of the policies that ask others who the client is: `jwt`, `forwardAuth`. */
import { createPublicKey } from 'node:crypto'
import { PUBLIC_KEY_ALGORITHMS, SECRET_ALGORITHMS } from './jwt-algorithms.ts'
import { isObject, show } from './report.ts'
import { fieldName, fieldToken } from './schema-field-policies.ts'
import { chosen, duration, object, oneOf, oneOrMany, record, ruled, type Schema, someTime, text, textThat } from './schema-values.ts'

const httpUrl = textThat((written) => {
  const url = URL.parse(written)
  if (url === null || !/^https?:$/.test(url.protocol)) return `expected a URL such as 'https://auth.example.com/keys', got ${show(written)}`
  return url.username === '' && url.password === '' ? null : 'a URL here has no user and no password'
})

const publicKey = textThat((written) => {
  try {
    createPublicKey(written)
    return null
  } catch {
    return `expected a public key in PEM, got ${show(written)}`
  }
})
const secret = textThat((written) => (written.length < 32 ? 'a secret of less than 32 characters is guessed (RFC 7518 §3.2)' : null))

const cookie = object({ cookie: fieldToken }, ['cookie'])
const query = object({ query: text }, ['query'])
const header = object({ header: fieldToken }, ['header'])
const from = chosen((value) => (isObject(value) && 'cookie' in value ? cookie : isObject(value) && 'query' in value ? query : header))

function jwtFields(algorithms: readonly string[]): Schema {
  return ruled(
    {
      ...{ jwks: httpUrl, publicKey, secret, issuer: oneOrMany(text), audience: oneOrMany(text) },
      ...{ algorithms: oneOrMany(oneOf(...algorithms)), tolerance: duration, from, claimsToHeaders: record(text, fieldName) },
    },
    (value) => {
      const keys = ['jwks', 'publicKey', 'secret'].filter((name) => value[name] !== undefined)
      if (keys.length === 1) return null
      return `expected exactly one of jwks, publicKey and secret${keys.length === 0 ? '' : `, got ${keys.join(' and ')}`}`
    },
  )
}
const withSecret = jwtFields(SECRET_ALGORITHMS)
const withPublicKey = jwtFields(PUBLIC_KEY_ALGORITHMS)

export const jwtOptions: Schema = chosen((value) => (isObject(value) && value.secret !== undefined ? withSecret : withPublicKey))

export const forwardAuthOptions: Schema = object(
  { url: httpUrl, requestHeaders: oneOrMany(fieldName), responseHeaders: oneOrMany(fieldName), timeout: someTime('it is 5s') },
  ['url'],
)
