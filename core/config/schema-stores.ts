/** Stores that policies name: their shape, and where they stand. */
import { parseStoreUrl } from '../net/store-url.ts'
import type { Path } from './positions.ts'
import { isObject, type Plain, type Report, show } from './report.ts'
import type { Parts } from './schema-parts.ts'
import { chosen, object, type Schema, someTime, text, textThat, whole, wrong } from './schema-values.ts'

const url = textThat((written) => {
  const parsed = parseStoreUrl(written)
  return typeof parsed === 'string' ? `${parsed}, got ${show(written)}` : null
})
const fields = object(
  { url, ca: text, cert: text, key: text, servername: text, connections: whole(1, 64), timeout: someTime('it is 100ms') },
  ['url'],
)

export const storeOption: Schema = chosen((value) => (typeof value === 'string' ? url : isObject(value) ? fields : notAStore))
const notAStore = wrong("a URL such as 'redis://10.0.0.1:6379', or { url, … }")

export interface StorePart {
  readonly value: string | Plain
  readonly path: Path
}

export function storesIn(config: Plain, { listeners, routes, tcpRoutes }: Parts): StorePart[] {
  const lists = [
    { use: config.use, path: ['use'] as Path },
    ...listeners.map(({ options: { use }, path }) => ({ use, path: [...path, 'use'] })),
    ...[...routes, ...tcpRoutes].map(({ route: { use }, path }) => ({ use, path: [...path, 'use'] })),
  ]
  return lists.flatMap(({ use, path }) =>
    (Array.isArray(use) ? use : []).flatMap((one: unknown, i): StorePart[] => {
      const store = isObject(one) && one.kind === 'policy' && isObject(one.options) ? one.options.store : undefined
      if (typeof store !== 'string' && !isObject(store)) return []
      return [{ value: store, path: [...path, i, { hidden: 'options' }, 'store'] }]
    }),
  )
}

export function checkStores(stores: readonly StorePart[], report: Report): void {
  for (const { value, path } of stores) {
    const written = typeof value === 'string' ? value : value.url
    const parsed = typeof written === 'string' ? parseStoreUrl(written) : ''
    if (typeof parsed === 'string') continue
    const at: Path = typeof value === 'string' ? path : [...path, 'url']
    if (parsed.password !== null && !parsed.isSecure && parsed.place.kind === 'host' && !isHere(parsed.place.host))
      report.warn(at, 'the password goes over the network as it is: rediss:// has TLS')
    if (isObject(value) && !parsed.isSecure && (value.ca ?? value.cert ?? value.key) !== undefined)
      report.error(at, 'certificates are for TLS: begin with rediss://')
    if (isObject(value) && (value.cert === undefined) !== (value.key === undefined))
      report.error(path, 'cert and key are given together or not at all')
  }
}

function isHere(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.')
}
