/** What discoveries read on this machine: it may come later, and the proxy starts without it, so its absence is a warning. */
import { resolve } from 'node:path'
import type { Path } from './positions.ts'
import { isObject, type Plain, type Report } from './report.ts'
import { lookAt } from './schema-files.ts'
import type { Parts } from './schema-parts.ts'

export function checkDiscoveryPlaces({ upstreams }: Parts, report: Report, folder: string): void {
  for (const { value, path } of upstreams) {
    if (!isObject(value) || !isObject(value.options)) continue
    const { discovery } = value.options
    if (!isObject(discovery) || discovery.kind !== 'discovery' || !isObject(discovery.options)) continue
    const at: Path = [...path, { hidden: 'options' }, 'discovery', { hidden: 'options' }]
    if (discovery.name === 'file') checkFile(discovery.options.path, { path: [...at, 'path'], report, folder })
    if (discovery.name === 'kubernetes') checkKubernetes(discovery.options, { path: at, report, folder })
  }
}

interface Place {
  readonly path: Path
  readonly report: Report
  readonly folder: string
}

function checkFile(written: unknown, { path, report, folder }: Place): void {
  if (typeof written !== 'string' || written === '') return
  const file = resolve(folder, written)
  const stats = lookAt(file)
  if (typeof stats === 'string') report.warn(path, stats)
  else if (stats === null) report.warn(path, `there is no file ${file}: until there is, the upstream has no endpoints`)
  else if (!stats.isFile()) report.warn(path, `${file} is no file`)
}

/** A config may be checked elsewhere than where it runs. */
function checkKubernetes({ server, tokenFile }: Plain, { path, report, folder }: Place): void {
  if (server === undefined && (process.env.KUBERNETES_SERVICE_HOST ?? '') === '')
    report.warn(
      path,
      'this is no pod of Kubernetes, for there is no KUBERNETES_SERVICE_HOST: elsewhere it needs a server, and has no endpoints without',
    )
  if (typeof tokenFile === 'string' && tokenFile !== '') checkFile(tokenFile, { path: [...path, 'tokenFile'], report, folder })
}
