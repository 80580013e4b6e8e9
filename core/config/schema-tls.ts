/** The shape of TLS options. What is in the files is looked at by schema-certificates.ts. */
import { isHostName } from '../net/address.ts'
import { isObject } from './report.ts'
import {
  callable,
  chosen,
  duration,
  type Fields,
  flag,
  list,
  object,
  oneOf,
  oneOrMany,
  refused,
  type Schema,
  text,
  textThat,
} from './schema-values.ts'

const files: Fields = { cert: text, key: text }
const common: Fields = {
  clientCertificate: oneOf('require', 'request'),
  ca: text,
  forwardClientCertificate: flag,
  minVersion: oneOf('TLSv1.2', 'TLSv1.3'),
  ocsp: text,
  keyLog: text,
}

/** A name that an authority can give a certificate for. */
const acmeName = textThat((written) => {
  const name = written.replace(/^\*\./, '')
  if (isHostName(name) && name.includes('.') && !/^[\d.]+$/.test(name)) return null
  return `${JSON.stringify(written)} is no name that an authority gives certificates for: www.example.com`
})
const httpsUrl = textThat((written) => {
  if (URL.canParse(written) && new URL(written).protocol === 'https:') return null
  return `expected an https:// URL, got ${JSON.stringify(written)}`
})
const email = textThat((written) => (/^[^@\s]+@[^@\s]+$/.test(written) ? null : `${JSON.stringify(written)} is no e-mail address`))
const agreed = chosen((value) =>
  value === true ? flag : refused('the authority gives no certificates to who has not agreed to its terms: read them, then write true'),
)

const acme = object(
  {
    names: oneOrMany(acmeName),
    agreeToTerms: agreed,
    ...{ email, directory: httpsUrl, directoryCa: text, challenge: oneOf('tls-alpn-01', 'http-01', 'dns-01') },
    dns: object({ set: callable, remove: callable, wait: duration }, ['set', 'remove']),
    externalAccount: object({ keyId: text, hmacKey: text }, ['keyId', 'hmacKey']),
    storage: text,
  },
  ['names', 'agreeToTerms'],
)

function termination(alpn: Schema): Schema {
  const ofFiles = object({ ...files, ...common, acme, alpn }, ['cert', 'key'])
  const ofAcme = object({ acme, ...common, alpn }, ['acme'])
  return chosen((value) => (isObject(value) && value.acme !== undefined ? ofAcme : ofFiles))
}

export const tlsTermination: Schema = termination(list(oneOf('h2', 'http/1.1')))
/** Of a route of TCP: an endpoint may speak anything. */
export const tlsTerminationOfRoute: Schema = termination(list(text))

const origination = object({ servername: text, ca: text, cert: text, key: text })
export const tlsOrigination: Schema = chosen((value) => (typeof value === 'boolean' ? flag : origination))

/** One, or several of which the client's SNI chooses. */
export const tlsTerminations: Schema = chosen((value) => {
  if (!Array.isArray(value)) return tlsTermination
  return value.some((entry) => entry) ? list(tlsTermination) : refused('an empty list: there is no certificate to serve')
})
