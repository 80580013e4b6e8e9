/** Where a store is, `redis://user:password@10.0.0.1:6379/0`, as people write it. Pure; what is not understood is a sentence. */

export interface StoreAddress {
  readonly place: { readonly kind: 'host'; readonly host: string; readonly port: number } | { readonly kind: 'unix'; readonly path: string }
  readonly isSecure: boolean
  readonly user: string | null
  readonly password: string | null
  readonly database: number
  /** Without the password: for logs and metrics. */
  readonly name: string
}

const SECURE: Readonly<Record<string, boolean>> = { 'redis:': false, 'valkey:': false, 'rediss:': true, 'valkeys:': true }
const EXAMPLE = "'redis://10.0.0.1:6379', 'rediss://…' with TLS, or 'unix:/run/redis.sock'"

export function parseStoreUrl(written: string): StoreAddress | string {
  if (written.startsWith('unix:/')) {
    const place = { kind: 'unix', path: written.slice('unix:'.length) } as const
    return { place, isSecure: false, user: null, password: null, database: 0, name: written }
  }
  const url = URL.parse(written)
  const isSecure = url === null ? undefined : SECURE[url.protocol]
  if (url === null || isSecure === undefined || url.hostname === '') return `expected ${EXAMPLE}`
  if (url.search !== '' || url.hash !== '') return 'the address of a store has no query'
  const [, number] = /^\/?(\d{0,5})$/.exec(url.pathname) ?? []
  if (number === undefined) return `the path is the number of a database, as in ${url.protocol}//${url.host}/0`
  const [user, password] = [decoded(url.username), decoded(url.password)]
  if (user === null || password === null) return 'user and password are percent-encoded'
  if (user !== '' && password === '') return 'a user without a password: redis://user:password@host'
  const database = Number(number)
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = url.port === '' ? 6379 : Number(url.port)
  return {
    ...{ place: { kind: 'host', host, port }, isSecure, database },
    ...{ user: user === '' ? null : user, password: password === '' ? null : password },
    name: `${url.protocol}//${url.hostname}:${port}${database === 0 ? '' : `/${database}`}`,
  }
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text)
  } catch {
    return null
  }
}
