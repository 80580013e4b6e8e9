/** `sluice endpoints ls`, `add`, `drain`, `undrain` and `remove`: what they ask of a running proxy, and what they print. */
import type { EndpointsTold } from '../process/control-protocol.ts'
import { endpointText, type UpstreamReport } from '../process/upstream-report.ts'
import type { EndpointAsk } from '../upstream/endpoint-asks.ts'
import { askOnce, type Choice, chooseProxy } from './control-client.ts'
import { tellingErrors } from './control-commands.ts'
import { exitCodes } from './exit-codes.ts'

export async function runEndpoints(choice: Choice, ask: EndpointAsk, { json }: { readonly json: boolean }): Promise<number> {
  return tellingErrors(async () => {
    const { told } = await askOnce(await chooseProxy(choice), { do: 'endpoints', ask }, 'endpoints')
    process.stdout.write(json ? `${JSON.stringify(told)}\n` : formatEndpoints(told))
    return exitCodes.ok
  })
}

export function formatEndpoints({ did, upstreams }: EndpointsTold): string {
  if (did !== null) return `${did}\n`
  if (upstreams.length === 0) return 'the config has no upstream\n'
  return upstreams.map(tableOf).join('')
}

/** Of one upstream: a line for each endpoint. */
function tableOf({ name, endpoints, available, list, removed }: UpstreamReport): string {
  const rows = list.map((one) => [
    one.address,
    `weight ${one.weight}`,
    `${one.inFlight} under way`,
    `${one.connections} ${one.connections === 1 ? 'connection' : 'connections'}`,
    endpointText(one),
  ])
  const widths = [0, 1, 2, 3].map((column) => Math.max(0, ...rows.map((row) => row[column]!.length)))
  const lines = rows.map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd())
  const gone = removed.map((address) => `  ${address}  removed`)
  return `${name}: ${available} of ${endpoints} endpoints available\n${[...lines, ...gone].map((line) => `${line}\n`).join('')}`
}
