/** `sluice http://localhost:3000`: the config that nobody had to write. */
import { resolve } from 'node:path'
import { parseEndpoint } from '../net/address.ts'
import type { Bundle } from './bundle.ts'
import { ConfigError, errorProblem } from './problems.ts'

/** A reverse proxy on :8080 to that address, one line an exchange. Throws ConfigError if it is no address. */
export function bundleForUrl(url: string): Bundle {
  if (parseEndpoint(url) === null) {
    throw new ConfigError([errorProblem(`not an address to send requests to: ${url} (like http://localhost:3000, without a path)`)])
  }
  const listener = `http({ listen: ':8080', routes: [{ to: ${JSON.stringify(url)} }] })`
  return {
    file: resolve('proxy.config.ts'),
    code: `return { listeners: { web: ${listener} }, log: { format: 'pretty' } }`,
    externals: [{ specifier: 'sluice', name: 'sluice', bindings: [{ imported: 'http', local: 'http' }] }],
    map: JSON.stringify({ version: 3, sources: [], sourcesContent: [], names: [], mappings: '' }),
    plugins: [],
    files: [],
    named: [],
    dataHash: null,
    packagesStamp: '',
  }
}
