/** `sluice explain`: what a config does with a request, typed or one that the running proxy has logged, and why. */
import { explainConfig } from '../check/explain-config.ts'
import { formatProblems } from '../config/problems.ts'
import type { Asked } from '../explain/explanation.ts'
import { formatExplanation } from '../explain/format.ts'
import { askedAgain, formatRecalled, shownRecalled } from '../explain/recalled.ts'
import type { Recalled } from '../observe/recorder.ts'
import { hasColor } from './color.ts'
import { askOnce, type Choice, ControlError, chooseProxy } from './control-client.ts'
import { exitCodes } from './exit-codes.ts'
import type { Status } from './status.ts'

export interface Printing {
  readonly json: boolean
}

/** Exit code 2 if the question makes no sense for that config. */
export async function runExplain(config: string, asked: Asked, { json }: Printing): Promise<number> {
  const { explanation, problems } = await explainConfig(config, asked)
  if (explanation === null) {
    if (json) printJson({ ok: false, problems })
    else process.stderr.write(`${formatProblems(problems, { color: hasColor(process.stderr), folder: process.cwd() })}\n`)
    return exitCodes.config
  }
  if (json) printJson({ ok: explanation.wrong === null, explanation })
  else process.stdout.write(formatExplanation(explanation, { color: hasColor(process.stdout) }))
  return explanation.wrong === null ? exitCodes.ok : exitCodes.usage
}

/** Standard output is for a shell of root: nothing but rules goes there. */
export async function runFirewallRules(config: string, asked: Asked): Promise<number> {
  const { explanation, problems } = await explainConfig(config, asked)
  if (explanation?.diagram != null) {
    process.stdout.write(`${explanation.diagram}\n`)
    return exitCodes.ok
  }
  if (explanation === null) {
    process.stderr.write(`${formatProblems(problems, { color: hasColor(process.stderr), folder: process.cwd() })}\n`)
    return exitCodes.config
  }
  process.stderr.write(`sluice: ${explanation.wrong}\n`)
  return exitCodes.failed
}

/** A request of a running proxy: what happened to it, then the same by the config as it is now. */
export async function runExplainId(id: string, choice: Choice, { json, all }: Printing & { readonly all: boolean }): Promise<number> {
  try {
    const socket = await chooseProxy(choice)
    const { found } = await askOnce(socket, { do: 'recall', id }, 'recalled')
    if (found === null) throw new ControlError(unknownId(id))
    // Both ends belong to the same user; what is recalled is what observe/recorder.ts keeps.
    const recalled = found as Recalled
    const { status } = await askOnce(socket, { do: 'status' }, 'status')
    return await tell(recalled, status as Status, { json, all })
  } catch (error) {
    if (!(error instanceof ControlError)) throw error
    process.stderr.write(`sluice: ${error.message}\n`)
    return exitCodes.failed
  }
}

async function tell(recalled: Recalled, status: Status, { json, all }: Printing & { readonly all: boolean }): Promise<number> {
  const generation = status.generation ?? null
  const isOld = generation !== null && generation !== recalled.generation
  if (recalled.kind === 'tunnel') return tellTunnel(recalled, { generation, isOld, json })
  const { explanation, problems } = await explainConfig(status.config ?? 'proxy.config.ts', askedAgain(recalled, all))
  if (json) {
    printJson({ ok: true, happened: shownRecalled(recalled), generation, explanation, problems: explanation === null ? problems : [] })
    return exitCodes.ok
  }
  const color = hasColor(process.stdout)
  process.stdout.write(formatRecalled(recalled, { color, generation: isOld ? generation : null }))
  const now = linesAbout(recalled.upstream, status.upstreams ?? [])
  if (now.length > 0) process.stdout.write(`\nAs its upstream is now:\n\n${now.map((line) => `${line}\n`).join('')}`)
  if (explanation !== null) process.stdout.write(`\nBy the config as it is now:\n\n${formatExplanation(explanation, { color })}`)
  else {
    process.stdout.write('\nThe config as it is now is not valid, so there is nothing to compare with:\n\n')
    process.stderr.write(`${formatProblems(problems, { color: hasColor(process.stderr), folder: process.cwd() })}\n`)
  }
  return exitCodes.ok
}

/** What `status` says of one upstream: nothing if all is well with it and nothing was changed at run time. */
export function linesAbout(upstream: string | null, lines: readonly string[]): string[] {
  const first = lines.findIndex((line) => line.startsWith(`${upstream}: `))
  if (upstream === null || first < 0) return []
  const next = lines.findIndex((line, i) => i > first && !line.startsWith('  '))
  return lines.slice(first, next < 0 ? lines.length : next)
}

function tellTunnel(recalled: Recalled, { generation, isOld, json }: { generation: number | null; isOld: boolean; json: boolean }): number {
  if (json) printJson({ ok: true, happened: shownRecalled(recalled), generation })
  else process.stdout.write(formatRecalled(recalled, { color: hasColor(process.stdout), generation: isOld ? generation : null }))
  return exitCodes.ok
}

function unknownId(id: string): string {
  return (
    `the proxy does not remember ${id}: each worker keeps about the last 1 MB of its requests, tunnels and sessions, some thousands, and forgets them when it ` +
    'ends. The id is the field `id` of the access log, and stands at the end of a line on a terminal'
  )
}

function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`)
}
