/** A request that a proxy remembers: what happened to it as text and as data without credentials, and the question it asked. */
import type { Recalled } from '../observe/recorder.ts'
import type { Asked, NamedValue } from './explanation.ts'
import { duration, section } from './format.ts'
import { clean, shownField } from './shown.ts'

/** The same request once more. */
export function askedAgain({ head, isCut, scheme, listener, peer, protocol }: Recalled, all: boolean): Asked {
  // What was kept of one that is too long, or never came to its end, ends at its last whole line.
  const isWhole = !isCut && head.endsWith('\r\n\r\n')
  const whole = isWhole ? head : `${head.slice(0, Math.max(0, head.lastIndexOf('\r\n')))}\r\n\r\n`
  const [, method = '-', target = ''] = /^(\S+) (\S+)/.exec(whole) ?? []
  const host = /^host:[ \t]*(\S+)/im.exec(whole)?.[1] ?? ''
  const url = method === 'CONNECT' ? target : /^https?:\/\//i.test(target) ? target : `${scheme}://${host}${target}`
  return { method, url, headers: [], from: peer, listener, head: whole, all, protocol }
}

export type ShownRecalled = Omit<Recalled, 'head'> & { readonly requestLine: string; readonly headers: readonly NamedValue[] }

export function shownRecalled({ head, ...rest }: Recalled): ShownRecalled {
  const [requestLine = '', ...lines] = head.split('\r\n')
  const headers = lines.flatMap((line): NamedValue[] => {
    const colon = line.indexOf(':')
    return colon > 0 ? [shownField(line.slice(0, colon), line.slice(colon + 1).trim())] : []
  })
  return { ...rest, detail: rest.detail === null ? null : clean(rest.detail), requestLine: clean(requestLine), headers }
}

export interface RecalledOptions {
  readonly color: boolean
  /** The one in force, if it is another than the request's. */
  readonly generation: number | null
}

/** Ends with a line break. */
export function formatRecalled(recalled: Recalled, { color, generation }: RecalledOptions): string {
  const paint = (code: number, text: string): string => (color ? `\x1b[${code}m${text}\x1b[0m` : text)
  const { id, at, ms, status, reason, detail, decidedBy, protocol, scheme, peer, bytesIn, bytesOut, tunnel, isCut } = recalled
  const { requestLine, headers } = shownRecalled(recalled)
  const bad = status >= 500 || status === 0 ? 31 : status >= 400 ? 33 : 32
  const result = [paint(bad, status === 0 ? 'no answer' : String(status)), reason ?? '', detail === null ? '' : clean(detail)]
  const outcome = [result.filter((part) => part !== '').join('  ')]
  if (decidedBy !== null) outcome.push(`answered by ${paint(1, clean(decidedBy))}`)
  else if (reason === null && recalled.endpoint === null) outcome.push("the route's own answer")
  const sections: (readonly [string, readonly string[]])[] = [
    ['request', [requestLine, ...headers.map(({ name, value }) => `${name}: ${value}`), ...(isCut ? ['… (cut)'] : [])]],
    ['answer', outcome],
    ['way', [wayOf(recalled), `${protocol} over ${scheme} from ${peer || 'a unix socket'}`]],
    ['took', [timesOf(recalled), `${bytesIn} bytes of body in, ${bytesOut} out${tunnel ? ', as a tunnel' : ''}`]],
  ]
  if (generation !== null)
    sections.push(['note', [paint(33, `it ran on config ${recalled.generation}; now ${generation} is in force, which may do otherwise`)]])
  const when = new Date(at).toISOString().replace('T', ' ').replace('Z', '')
  return `${paint(1, id)}  ${paint(2, `${when} UTC, ${duration(ms)}`)}\n\n${sections.map((one) => section(one, paint)).join('')}`
}

function wayOf({ listener, route, upstream, endpoint, attempts }: Recalled): string {
  const steps = [listener, route ?? 'no route', upstream, endpoint].filter((step) => step !== null)
  return `${steps.map(clean).join(' → ')}${attempts > 1 ? `, after ${attempts} tries` : ''}`
}

function timesOf({ ms, upstreamMs, endpoint }: Recalled): string {
  const all = `${duration(ms)} in all`
  if (upstreamMs !== null) return `${all}; the endpoint answered after ${duration(upstreamMs)}`
  return endpoint === null ? all : `${all}; the endpoint gave no answer`
}
