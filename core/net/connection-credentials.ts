/**
 * Credentials that count for a connection and not for a request, against RFC 9110 §11.7: NTLM, and Negotiate (RFC 4559 §6). Whatever is sent on
 * such a connection later is taken for the same user's, so it serves one client alone.
 */
const CREDENTIALS = /^(?:ntlm|negotiate)(?:[\t ]|$)/i
const CHALLENGE = /(?:^|,)[\t ]*(?:ntlm|negotiate)[\t ]*(?:$|[,\t ])/i

/** The value of Authorization. */
export function areForConnection(credentials: string): boolean {
  return CREDENTIALS.test(credentials)
}

/** The values of WWW-Authenticate or Proxy-Authenticate, joined; null: there are none. */
export function asksForConnection(challenges: string | null): boolean {
  return challenges !== null && CHALLENGE.test(challenges)
}
