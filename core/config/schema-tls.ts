/** Certificates and keys: that they can be read, and used together. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { createSecureContext } from 'node:tls'
import { type Check, isObject, list, object, oneOf, type Scope, text } from './report.ts'

export const tlsTermination: Check = (value, path, scope) => {
  const before = scope.report.findings.length
  object({ cert: file, key: file, alpn: list(oneOf('h2', 'http/1.1')) }, ['cert', 'key'])(value, path, scope)
  if (scope.report.findings.length > before || !isObject(value)) return
  try {
    createSecureContext({ cert: readPem(scope, value.cert), key: readPem(scope, value.key) })
  } catch (error) {
    scope.report.error(path, `the certificate and the key cannot be used: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** PEM text, or a file that can be read. */
export const file: Check = (value, path, scope) => {
  if (typeof value !== 'string' || value === '') return text(value, path, scope)
  try {
    readPem(scope, value)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    scope.report.error(
      path,
      code === 'ENOENT'
        ? `there is no file ${resolve(scope.folder, value)}`
        : `the file ${resolve(scope.folder, value)} cannot be read: ${code}`,
    )
  }
}

function readPem({ folder }: Scope, pathOrPem: unknown): string {
  const text = String(pathOrPem)
  return text.includes('-----BEGIN') ? text : readFileSync(resolve(folder, text), 'utf8')
}
