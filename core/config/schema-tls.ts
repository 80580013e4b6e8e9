/** The shape of TLS options. What is in the files is looked at by schema-certificates.ts. */
import { chosen, type Fields, flag, list, object, oneOf, refused, type Schema, text } from './schema-values.ts'

const termination: Fields = {
  cert: text,
  key: text,
  clientCertificate: oneOf('require', 'request'),
  ca: text,
  forwardClientCertificate: flag,
  minVersion: oneOf('TLSv1.2', 'TLSv1.3'),
  ocsp: text,
  keyLog: text,
}

export const tlsTermination: Schema = object({ ...termination, alpn: list(oneOf('h2', 'http/1.1')) }, ['cert', 'key'])
/** Of a route of TCP: an endpoint may speak anything. */
export const tlsTerminationOfRoute: Schema = object({ ...termination, alpn: list(text) }, ['cert', 'key'])

const origination = object({ servername: text, ca: text, cert: text, key: text })
export const tlsOrigination: Schema = chosen((value) => (typeof value === 'boolean' ? flag : origination))

/** One, or several of which the client's SNI chooses. */
export const tlsTerminations: Schema = chosen((value) => {
  if (!Array.isArray(value)) return tlsTermination
  return value.some((entry) => entry) ? list(tlsTermination) : refused('an empty list: there is no certificate to serve')
})
