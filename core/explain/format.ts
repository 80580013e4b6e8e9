/** An explanation as text for a terminal: what happens to the request from top to bottom, the place in the config beside each step. */
import { sizeText } from '../config/units.ts'
import type {
  AccessCheck,
  Explanation,
  ListenerStep,
  MatchedRoute,
  Mismatch,
  Outcome,
  PolicyStep,
  RequestStep,
  RoutesStep,
  Sent,
  UseStep,
} from './explanation.ts'
import { parseTarget } from './listener.ts'

export interface TextOptions {
  readonly color: boolean
}

type Paint = (code: number, text: string) => string
/** What stands in the left column, and the lines beside it. */
type Section = readonly [label: string, lines: readonly string[]]

const BOLD = 1
const DIM = 2
const RED = 31
const GREEN = 32
const YELLOW = 33
const LABEL = 10
const HOOKS = 'they are not run here: what they would change or answer is not in what follows'
/** Of text beside the labels. */
const WIDTH = 80

/** Ends with a line break. */
export function formatExplanation(explanation: Explanation, { color }: TextOptions): string {
  const paint: Paint = (code, text) => (color && text !== '' ? `\x1b[${code}m${text}\x1b[0m` : text)
  const { asked, wrong, passed, diagram, listener, request, access, use, routes, outcome } = explanation
  if (diagram !== null) return `${diagram}\n`
  const isRequest = parseTarget(asked.url) !== null
  const title = paint(BOLD, isRequest ? `${asked.method} ${asked.url}` : asked.url)
  if (passed !== null) {
    const rules = access === null ? [] : [['access', accessLines(access, paint)] as const]
    return `${title}\n\n${[...rules, ['way', wrapped(passed)] as const].map((one) => section(one, paint)).join('')}`
  }
  if (wrong !== null) return `${title}\n${section(['wrong', [paint(RED, wrong)]], paint)}`
  const sections: Section[] = [
    ...(listener === null ? [] : [['listener', listenerLines(listener, paint)] as const]),
    ...(request === null ? [] : requestSections(request, paint)),
    ...(access === null ? [] : [['access', accessLines(access, paint)] as const]),
    ...(use === null || use.length === 0 ? [] : [['use', [...useLines(use, paint), paint(DIM, HOOKS)]] as const]),
    ...(routes === null ? [] : [['routes', routeLines(routes, paint)] as const]),
    ...(outcome === null ? [] : outcomeSections(outcome, paint)),
    ...lastSections(explanation, paint),
  ]
  return `${title}\n\n${sections.map((one) => section(one, paint)).join('')}`
}

export function section([label, lines]: Section, paint: Paint): string {
  return lines.map((line, i) => (line === '' ? '\n' : `${i === 0 ? paint(DIM, label.padEnd(LABEL)) : ' '.repeat(LABEL)}${line}\n`)).join('')
}

function listenerLines({ name, scheme, addresses, place, because, others }: ListenerStep, paint: Paint): string[] {
  const also = others.length === 0 ? '' : `; also there: ${others.map((one) => [one.name, ...one.addresses].join(' ')).join(', ')}`
  const where = addresses.length === 0 ? '' : ` on ${addresses.join(', ')}`
  return [`${paint(BOLD, name)}  ${scheme}${where}  ${paint(DIM, place)}`, paint(DIM, because + also)]
}

function requestSections({ method, host, path, search, writtenPath, client }: RequestStep, paint: Paint): Section[] {
  const lines = [`${method} ${host}${path}${search}`]
  if (writtenPath !== null) lines.push(paint(DIM, `the path was written ${writtenPath}; routes and endpoints see its normal form`))
  const peer = client.peer === client.ip ? '' : `; the peer is ${client.peer}`
  return [
    ['request', lines],
    ['client', [`${client.ip || 'no address'}  ${paint(DIM, client.because + peer)}`]],
  ]
}

function accessLines(access: readonly AccessCheck[], paint: Paint): string[] {
  const width = widest(access.map(({ rule }) => rule))
  return access.map(({ rule, text, isRefused }) => `${isRefused ? paint(RED, '✗') : paint(GREEN, '✓')} ${rule.padEnd(width)}  ${text}`)
}

function useLines(use: readonly UseStep[], paint: Paint): string[] {
  const width = widest(use.map(({ name }) => name))
  return use.flatMap(({ name, release, kind, key, place, hooks, isAsked, match, sees, grant, limits, policy }) => {
    const mark = isAsked ? paint(GREEN, '✓') : paint(DIM, '·')
    const what = isAsked ? hooks.join(', ') || 'no hook' : paint(DIM, `not asked: its match is ${match}`)
    const lines = [`${mark} ${name.padEnd(width)}  ${what}  ${paint(DIM, name === key ? place : `${key} ${place}`)}`]
    if (policy !== null) lines.push(...policyLines(policy, paint))
    if (kind === 'plugin' && limits === null) lines.push(paint(RED, '    could not be loaded: see sluice check'))
    if (!isAsked || sees === null || limits === null) return lines
    lines.push(...seenLines(sees, paint))
    const granted = grant.length === 0 ? 'no grants' : `granted ${grant.join(', ')}`
    const { timeoutMs, deadlineMs, memoryMb, kvBytes, isolation, onFailure } = limits
    const times = `${duration(timeoutMs)} a turn, ${duration(deadlineMs)} to answer, ${memoryMb} MB, ${kvBytes === null ? '' : `${sizeText(kvBytes)} of kv, `}in a ${isolation}`
    lines.push(paint(DIM, `    ${release === null ? '' : `${release}; `}${granted}; ${times}; on failure: ${onFailure}`))
    return lines
  })
}

function policyLines({ does, answer, isAsked }: PolicyStep, paint: Paint): string[] {
  const says =
    answer === null
      ? []
      : [`    ${paint(RED, `answers ${answer.status}${answer.code === null ? '' : ` ${answer.code}`}`)}: ${answer.because}`]
  return [paint(DIM, `    ${does}${isAsked && answer === null ? '; lets this request pass' : ''}`), ...says]
}

function seenLines(sees: Exclude<UseStep['sees'], null>, paint: Paint): string[] {
  if (sees.length === 0) return [paint(DIM, '    sees no fields')]
  return sees.map(({ name, value, isHidden }) => {
    if (isHidden) return `    sees ${name}: ${paint(YELLOW, 'hidden, for it was not granted credentials')}`
    return `    sees ${name}: ${value ?? paint(DIM, 'none')}`
  })
}

function routeLines({ total, earlier, counted, failed, matched, nearest }: RoutesStep, paint: Paint): string[] {
  if (total === 0) return ['the listener has none']
  const names = earlier.map(({ id, isGroup }) => (isGroup ? `${id} group` : id))
  const last = matched ?? failed
  const width = widest([...names, ...(last === null ? [] : [last.id])])
  const places = widest([...earlier.map(({ place }) => place), last?.place ?? ''])
  const row = (mark: string, [name, place, text]: readonly [string, string, string]): string =>
    `${mark} ${name.padEnd(width)}  ${paint(DIM, place.padEnd(places))}  ${text}`.trimEnd()
  const lines = earlier.map(({ place, routes, mismatch }, i) => {
    const more = routes > 1 ? paint(DIM, ` (${count(routes, 'route')})`) : ''
    return row(paint(RED, '✗'), [names[i]!, place, mismatchText(mismatch, paint) + more])
  })
  for (const { field, routes } of counted) lines.push(paint(DIM, `${count(routes, 'other route')}: ${field}`))
  if (counted.length > 0) lines.push(paint(DIM, '(--all tells of each)'))
  if (failed !== null) lines.push(row(paint(RED, '✗'), [failed.id, failed.place, paint(RED, failed.error)]))
  if (matched !== null) lines.push(row(paint(GREEN, '✓'), [matched.id, matched.place, matchedText(matched)]))
  if (nearest !== null) lines.push('', nearestText(nearest, paint))
  return lines
}

function mismatchText({ field, name, wanted, got }: Mismatch, paint: Paint): string {
  if (field === 'when') return `${paint(YELLOW, 'when')} answered ${got}`
  return `${paint(YELLOW, name === null ? field : `${field} ${name}`)} wants ${wanted}, got ${got}`
}

function nearestText({ id, place, mismatches }: Exclude<RoutesStep['nearest'], null>, paint: Paint): string {
  const wishes = mismatches.map(({ field, name, wanted }) => {
    if (field === 'when') return 'its when answered true'
    const what =
      name === null
        ? `the ${field}`
        : `${{ headers: 'the header', query: 'the query’s', cookies: 'the cookie' }[field as 'headers'] ?? field} ${name}`
    return `${what} were ${wanted}`
  })
  return `nearest: ${paint(BOLD, id)} ${paint(DIM, place)} would match if ${wishes.join(' and ')}`
}

function matchedText({ held, params }: MatchedRoute): string {
  const wishes = held.map(({ field, name, wanted }) => {
    if (field === 'when') return 'when'
    return `${name === null ? field : `${field} ${name}`} ${wanted}`
  })
  const captured = paramsText(params)
  return `${wishes.length === 0 ? 'takes every request' : wishes.join(', ')}${captured === '' ? '' : `: ${captured}`}`
}

function paramsText(params: Readonly<Record<string, string>>): string {
  const numbered = Object.entries(params).filter(([name]) => !/^\d+$/.test(name))
  return numbered.map(([name, value]) => `${name} = ${value === '' ? "''" : value}`).join(', ')
}

function outcomeSections(outcome: Outcome, paint: Paint): Section[] {
  switch (outcome.kind) {
    case 'error':
      return [['answer', [paint(RED, `${outcome.status} ${outcome.code}`), ...wrapped(outcome.because)]]]
    case 'redirect':
      return [['answer', [`${paint(GREEN, String(outcome.status))} to ${outcome.location}`]]]
    case 'respond': {
      const fields = outcome.headers.map(({ name, value }) => `${name}: ${value}`)
      return [
        [
          'answer',
          [paint(outcome.status < 400 ? GREEN : YELLOW, String(outcome.status)), ...fields, ...(outcome.body === '' ? [] : [outcome.body])],
        ],
      ]
    }
    case 'files': {
      const how = [outcome.type, ...(outcome.coding === null ? [] : [`stored as ${outcome.coding}`])].join(', ')
      return [['answer', [`${paint(GREEN, String(outcome.status))} ${paint(BOLD, outcome.file)}`, paint(DIM, how)]]]
    }
    case 'tunnel':
      return [['to', [paint(BOLD, outcome.to), paint(DIM, 'a tunnel: what is in it goes on as it is, and nobody reads it')]]]
    case 'upstream':
      return sentSections(outcome, paint)
  }
}

function sentSections(sent: Sent, paint: Paint): Section[] {
  const to = sent.upstream === '' ? [] : [`${paint(BOLD, sent.upstream)}  ${paint(DIM, sent.place ?? '')}`.trimEnd()]
  if (sent.split !== null) {
    const parts = sent.split.map(({ upstream, percent }) => `${Number(percent.toFixed(2))}% ${upstream}`)
    to.push(`${parts.join(', ')}; ${sent.splitBecause}`)
  }
  to.push(sent.first === null ? sent.balancing : `${sent.first}${sent.endpoints.length > 1 ? ' first' : ''}: ${sent.balancing}`)
  if (sent.endpoints.length > 1) to.push(paint(DIM, endpointsText(sent)))
  for (const line of sent.safeguards) to.push(paint(DIM, line))
  if (sent.mirror !== null) to.push(`and a copy of ${Number(sent.mirror.percent.toFixed(2))}% to ${sent.mirror.upstream}`)
  const line = `${sent.requestLine}${sent.isRewritten ? paint(DIM, '  (rewritten)') : ''}`
  const tls = sent.tls === null ? [] : [`TLS${sent.tls.servername === '' ? '' : ` for ${sent.tls.servername}`}`]
  return [
    ['to', to],
    [
      'sends',
      [
        line,
        `Host: ${sent.host.value}  ${paint(DIM, sent.host.because)}`,
        ...tls,
        ...sent.added.map(({ name, value }) => `${paint(GREEN, '+')} ${name}: ${value}`),
        ...sent.removed.map((name) => `${paint(RED, '-')} ${name}`),
      ],
    ],
  ]
}

function endpointsText({ endpoints }: Sent): string {
  const shown = endpoints.slice(0, 8).map(({ address, weight }) => (weight === 1 ? address : `${address} weight ${weight}`))
  const more = endpoints.length - shown.length
  return shown.join(', ') + (more > 0 ? ` and ${more} more` : '')
}

function lastSections({ responseUse, timeouts, use, outcome }: Explanation, paint: Paint): Section[] {
  const names = responseUse.map((key) => use?.find((one) => one.key === key)?.name ?? key)
  const back: Section[] = names.length === 0 ? [] : [['back', [`${names.join(', then ')}`]]]
  if (outcome?.kind !== 'upstream' && outcome?.kind !== 'tunnel') return back
  const of = [...new Set(timeouts.map((one) => one.of))]
  const times = of.map((owner) => {
    const own = timeouts.filter((one) => one.of === owner).map(({ name, ms }) => `${words(name)} ${duration(ms)}`)
    return `${own.join(', ')}  ${paint(DIM, owner)}`
  })
  return [...back, ['timeouts', times.reverse()]]
}

function wrapped(text: string): string[] {
  const lines = ['']
  for (const word of text.split(' ')) {
    if (lines.at(-1) !== '' && lines.at(-1)!.length + word.length > WIDTH) lines.push('')
    lines[lines.length - 1] += lines.at(-1) === '' ? word : ` ${word}`
  }
  return lines
}

/** `requestHead` → `request head` */
function words(name: string): string {
  return name.replace(/[A-Z]/g, (char) => ` ${char.toLowerCase()}`)
}

export function duration(ms: number): string {
  const [unit, size] =
    ms >= 3_600_000 && ms % 3_600_000 === 0
      ? ['h', 3_600_000]
      : ms >= 120_000 && ms % 60_000 === 0
        ? ['m', 60_000]
        : ms >= 1_000
          ? ['s', 1_000]
          : ['ms', 1]
  return `${Number((ms / size).toFixed(1))}${unit}`
}

function count(number: number, what: string): string {
  return `${number.toLocaleString('en-US')} ${what}${number === 1 ? '' : 's'}`
}

function widest(texts: readonly string[]): number {
  return Math.min(
    40,
    texts.reduce((most, { length }) => Math.max(most, length), 0),
  )
}
