/** Options of the built-in policies, each of which is written with the helper of its name. */
import { isNetwork } from '../net/cidr.ts'
import { passwordProblem } from './password-hash.ts'
import { isObject, type Plain, show, wordOf } from './report.ts'
import { chosen, flag, made, object, oneOrMany, record, refused, type Schema, textThat } from './schema-values.ts'

/** The schema of one entry of a `use` list that is a policy. */
export function policyUse({ name, layer }: Plain, where: 'http' | 'connection'): Schema {
  const known = typeof name === 'string' ? policies.get(name) : undefined
  if (known === undefined) return refused(`${wordOf(name)} is not supported yet`)
  if (layer === 'any' || layer === where) return known
  return refused(where === 'http' ? `${wordOf(name)} is for a listener of TCP` : `${wordOf(name)} is for HTTP; this is a listener of TCP`)
}

const network = textThat((written) =>
  isNetwork(written) ? null : `expected an address or a network such as '10.0.0.0/8', got ${show(written)}`,
)
const networks = oneOrMany(network)

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
/** A field that a policy sets or takes out. */
export const fieldName = textThat((name) => {
  if (!TOKEN.test(name)) return `not the name of a field: ${show(name)}`
  return /^(content-length|transfer-encoding|connection|keep-alive|upgrade|trailer|te|host)$/i.test(name)
    ? `${name} is set by the proxy alone`
    : null
})

const password = chosen((value) => (value === '' ? refused('an empty password lets everybody in') : passwordText))
const passwordText = textThat(passwordProblem)
const userName = textThat((name) =>
  /^[^:\x00-\x1f\x7f]+$/.test(name) ? null : 'the name of a user is not empty, and has no colon or control character',
)
const users = record(password, userName)
export const someUsers: Schema = chosen((value) =>
  isObject(value) && Object.keys(value).length === 0 ? refused('without users nobody gets in') : users,
)
const realm = textThat((written) => (/^[\x20-\x7e]*$/.test(written) ? null : 'a realm is printable ASCII'))

const ipAccessOptions = object({ allow: networks, deny: networks })

const policies: ReadonlyMap<string, Schema> = new Map(
  Object.entries({
    basicAuth: object({ users: someUsers, realm, passOn: flag, userHeader: fieldName }, ['users']),
    ipAccess: chosen((value) =>
      isObject(value) && value.allow === undefined && value.deny === undefined ? refused('expected allow, deny or both') : ipAccessOptions,
    ),
  }).map(([name, options]) => [name, made({ options })]),
)
