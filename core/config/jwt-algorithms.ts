/** Algorithms that tokens may be signed with (RFC 7518 §3.1, RFC 8037): with a secret, or with a key of which the other half is public. Never `none`. */

export const SECRET_ALGORITHMS: readonly string[] = ['HS256', 'HS384', 'HS512']
export const PUBLIC_KEY_ALGORITHMS: readonly string[] = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
]
