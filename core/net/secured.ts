/** What TLS has found out about a client, once its handshake is done. */
import type { TLSSocket } from 'node:tls'
import { ClientCertificate, certificateLines } from './client-certificate.ts'
import type { NameTable } from './name-table.ts'
import { verifyProblem } from './tls.ts'

/** What is asked of clients. Two with the same `id` ask the same. */
export interface ClientRule {
  readonly id: string
  readonly mode: 'require' | 'request'
  /** Endpoints are told of the certificate, if it was verified. */
  readonly forward: boolean
}

export interface Secured {
  /** The id of the rule that held; `''`: nothing was asked. */
  readonly rule: string
  /** Null: it showed none. */
  readonly certificate: ClientCertificate | null
  /** Fields that tell endpoints of it; `''` if they are not told. */
  readonly lines: string
  /** Hosts that the certificate served is for; null: there is no other one on this listener. */
  readonly served: NameTable<true> | null
}

/** Of whom nothing was asked. */
export const ANYBODY: Secured = { rule: '', certificate: null, lines: '', served: null }

/** What is wrong with the client's certificate, as a code of OpenSSL's, where it may not stay. */
export function secure(socket: TLSSocket, rule: ClientRule | null, served: Secured['served']): Secured | { readonly problem: string } {
  if (rule === null) return served === null ? ANYBODY : { ...ANYBODY, served }
  const certificate = socket.getPeerX509Certificate()
  if (certificate === undefined) {
    // OpenSSL has refused it already, unless it was never told to.
    if (rule.mode === 'require') return { problem: 'PEER_DID_NOT_RETURN_A_CERTIFICATE' }
    return { ...ANYBODY, rule: rule.id, served }
  }
  const problem = verifyProblem(socket)
  if (problem !== null && rule.mode === 'require') return { problem }
  const isVerified = problem === null
  return {
    rule: rule.id,
    certificate: new ClientCertificate(certificate, isVerified),
    lines: rule.forward && isVerified ? certificateLines(certificate) : '',
    served,
  }
}
