/** The shape of TLS options. What is in the files is looked at by schema-certificates.ts. */
import { chosen, flag, list, object, oneOf, type Schema, text } from './schema-values.ts'

export const tlsTermination: Schema = object({ cert: text, key: text, alpn: list(oneOf('h2', 'http/1.1')) }, ['cert', 'key'])

const origination = object({ servername: text, ca: text, cert: text, key: text })
export const tlsOrigination: Schema = chosen((value) => (typeof value === 'boolean' ? flag : origination))
