/** Upstreams: each in shape, by itself possible, and alone under its name. */
import { parseEndpoint } from '../net/address.ts'
import type { Path } from './positions.ts'
import { isObject, type Plain, type Report, show } from './report.ts'
import { checkSafeguards } from './safeguards.ts'
import { findingsOf } from './schema-findings.ts'
import type { UpstreamPart } from './schema-parts.ts'
import { wholeUpstream } from './schema-upstream.ts'

export function checkUpstreams(upstreams: readonly UpstreamPart[], report: Report): void {
  const names = new Map<string, UpstreamPart>()
  for (const part of upstreams) {
    const { value, path } = part
    if (isObject(value)) {
      report.findings.push(...findingsOf(wholeUpstream, value, path))
      if (isObject(value.options)) {
        checkOptions(value.options, [...path, { hidden: 'options' }], report)
        checkSafeguards(value.options, [...path, { hidden: 'options' }], report)
      }
    }
    const name = isObject(value) ? value.name : value
    // What is no address was told as such.
    if (typeof name !== 'string' || (!isObject(value) && parseEndpoint(name) === null)) continue
    // Two upstreams under one name would be one in logs, metrics and routeTo.
    const other = names.get(name)
    if (other === undefined) names.set(name, part)
    else
      report.error([...path, 'name'], (placeOf) => `another upstream is named ${show(name)} already (${placeOf([...other.path, 'name'])})`)
  }
}

/** Who is let in by an etcd, and by Kubernetes. */
function checkRegistry({ url, user, password, token, tokenFile, server, cert, key }: Plain, path: Path, report: Report): void {
  if ((user === undefined) !== (password === undefined)) report.error(path, 'user and password are given together or not at all')
  if (token !== undefined && (user !== undefined || tokenFile !== undefined))
    report.error(path, `a token needs no ${user === undefined ? 'tokenFile' : 'user'}: choose one of them`)
  if ((cert === undefined) !== (key === undefined)) report.error(path, 'cert and key are given together or not at all')
  const isSecret = (password ?? token ?? tokenFile) !== undefined
  const isOpen = [url ?? [], server ?? []]
    .flat()
    .some((one) => typeof one === 'string' && /^http:\/\/(?!localhost|127\.|\[::1\])/i.test(one))
  if (isSecret && isOpen) report.warn(path, 'password or token go over the network as they are: https:// has TLS')
}

function checkOptions({ endpoints, discovery, sticky, zone, tls }: Plain, path: Path, report: Report): void {
  if (isObject(sticky) && sticky.sameSite === 'none' && sticky.secure !== true)
    report.error([...path, 'sticky', 'sameSite'], "browsers drop a cookie with sameSite 'none' that has not secure: true")
  if (endpoints !== undefined && discovery !== undefined)
    report.error([...path, 'discovery'], 'an upstream has endpoints or a discovery, not both', 'key')
  if (isObject(discovery) && isObject(discovery.options))
    checkRegistry(discovery.options, [...path, 'discovery', { hidden: 'options' }], report)
  if (endpoints === undefined && discovery === undefined) report.error(path, 'endpoints is missing')
  if (isObject(tls) && (tls.cert === undefined) !== (tls.key === undefined))
    report.error([...path, 'tls'], 'cert and key are given together or not at all')
  if (!Array.isArray(endpoints)) return
  if (typeof zone === 'string' && !endpoints.some((one: unknown) => isObject(one) && one.zone === zone))
    report.warn([...path, 'zone'], `no endpoint is in the zone ${show(zone)}`)
  const written = endpoints.flatMap((one: unknown, i) => {
    const address = isObject(one) ? one.address : one
    return typeof address === 'string' ? [{ address, i }] : []
  })
  const hasEntries = endpoints.some((one: unknown) => one !== false && one !== null && one !== undefined)
  if (!hasEntries) report.error([...path, 'endpoints'], 'an upstream needs at least one endpoint')
  const parsed = written.map(({ address }) => parseEndpoint(address)).filter((one) => one !== null)
  if (new Set(parsed.map((one) => one.tls)).size > 1)
    report.error([...path, 'endpoints'], 'endpoints with https:// and without cannot be mixed in one upstream')
  if (tls === false && parsed.some((one) => one.tls)) report.error([...path, 'tls'], 'the endpoints begin with https://')
  const first = new Set<string>()
  for (const { address, i } of written) {
    if (first.has(address)) report.error([...path, 'endpoints', i], `the endpoint ${show(address)} stands twice; give it a weight`)
    first.add(address)
  }
}
