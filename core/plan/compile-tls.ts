/** The options of one termination of TLS → TlsPlan: what was left out filled in, files by their whole path. */
import { acmeFiles, LETS_ENCRYPT } from '../config/acme-files.ts'
import { toList } from '../config/lists.ts'
import { parseDuration } from '../config/units.ts'
import type { AcmeOptions, TlsTermination } from '../index.ts'
import { resolveFile } from './compile-upstream.ts'
import type { AcmePlan, TlsPlan } from './plan.ts'

/** `alpn`: what is offered where the option says nothing. */
export function compileTls(options: TlsTermination, folder: string, alpn: readonly string[]): TlsPlan {
  const { clientCertificate: mode, ca, forwardClientCertificate: forward = false } = options
  const { minVersion = 'TLSv1.2', ocsp, keyLog } = options
  const file = (text: string): string => resolveFile(folder, text)
  const acme = options.acme === undefined ? null : compileAcme(options.acme, folder)
  return Object.freeze({
    // One file holds both, so that they change together.
    cert: acme?.file ?? file(options.cert!),
    key: acme?.file ?? file(options.key!),
    acme,
    alpn: Object.freeze([...(options.alpn === undefined || options.alpn.length === 0 ? alpn : options.alpn)]),
    ...{ minVersion, ocsp: ocsp === undefined ? null : file(ocsp), keyLog: keyLog === undefined ? null : file(keyLog) },
    clients: mode === undefined || ca === undefined ? null : Object.freeze({ mode, ca: file(ca), forward }),
  })
}

function compileAcme(options: AcmeOptions, folder: string): AcmePlan {
  const { directory = LETS_ENCRYPT, directoryCa, email = null, challenge = 'tls-alpn-01', externalAccount = null } = options
  return Object.freeze({
    names: Object.freeze(toList(options.names).map((name) => name.toLowerCase())),
    ...acmeFiles(options, folder),
    ...{ directory, directoryCa: directoryCa === undefined ? null : resolveFile(folder, directoryCa) },
    ...{ email, challenge, externalAccount, dnsWait: parseDuration(options.dns?.wait ?? '10s')! },
  })
}
