/** A request or tunnel that a proxy remembers: what happened to it as text and as data without credentials, and the question it asked. */
import type { Recalled, RecalledExchange, RecalledTunnel } from '../observe/recorder.ts'
import type { Asked, NamedValue } from './explanation.ts'
import { duration, section } from './format.ts'
import { clean, shownField } from './shown.ts'

/** The same request once more. */
export function askedAgain({ head, isCut, scheme, listener, peer, protocol }: RecalledExchange, all: boolean): Asked {
  // What was kept of one that is too long, or never came to its end, ends at its last whole line.
  const isWhole = !isCut && head.endsWith('\r\n\r\n')
  const whole = isWhole ? head : `${head.slice(0, Math.max(0, head.lastIndexOf('\r\n')))}\r\n\r\n`
  const [, method = '-', target = ''] = /^(\S+) (\S+)/.exec(whole) ?? []
  const host = /^host:[ \t]*(\S+)/im.exec(whole)?.[1] ?? ''
  const url = method === 'CONNECT' ? target : /^https?:\/\//i.test(target) ? target : `${scheme}://${host}${target}`
  return { method, url, headers: [], from: peer, listener, head: whole, all, protocol }
}

export type ShownRecalled =
  | RecalledTunnel
  | (Omit<RecalledExchange, 'head'> & { readonly requestLine: string; readonly headers: readonly NamedValue[] })

export function shownRecalled(recalled: Recalled): ShownRecalled {
  return recalled.kind === 'tunnel' ? shownTunnel(recalled) : shownExchange(recalled)
}

function shownTunnel(recalled: RecalledTunnel): RecalledTunnel {
  const shown = (text: string | null): string | null => (text === null ? null : clean(text))
  const { detail, destination, sni, user } = recalled
  return { ...recalled, detail: shown(detail), destination: shown(destination), sni: shown(sni), user: shown(user) }
}

function shownExchange({ head, ...rest }: RecalledExchange): Exclude<ShownRecalled, RecalledTunnel> {
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
  const paint: Paint = (code, text) => (color ? `\x1b[${code}m${text}\x1b[0m` : text)
  const { id, at, ms } = recalled
  const sections = recalled.kind === 'tunnel' ? tunnelSections(recalled, paint) : exchangeSections(recalled, paint)
  if (generation !== null)
    sections.push(['note', [paint(33, `it ran on config ${recalled.generation}; now ${generation} is in force, which may do otherwise`)]])
  const when = new Date(at).toISOString().replace('T', ' ').replace('Z', '')
  return `${paint(1, id)}  ${paint(2, `${when} UTC, ${duration(ms)}`)}\n\n${sections.map((one) => section(one, paint)).join('')}`
}

type Paint = (code: number, text: string) => string
type Section = readonly [label: string, lines: readonly string[]]

function exchangeSections(recalled: RecalledExchange, paint: Paint): Section[] {
  const { status, reason, detail, decidedBy, protocol, scheme, peer, bytesIn, bytesOut, tunnel, isCut } = recalled
  const { requestLine, headers } = shownExchange(recalled)
  const bad = status >= 500 || status === 0 ? 31 : status >= 400 ? 33 : 32
  const result = [paint(bad, status === 0 ? 'no answer' : String(status)), reason ?? '', detail === null ? '' : clean(detail)]
  const outcome = [result.filter((part) => part !== '').join('  ')]
  if (decidedBy !== null) outcome.push(`answered by ${paint(1, clean(decidedBy))}`)
  else if (reason === null && recalled.endpoint === null) outcome.push("the route's own answer")
  return [
    ['request', [requestLine, ...headers.map(({ name, value }) => `${name}: ${value}`), ...(isCut ? ['… (cut)'] : [])]],
    ['answer', outcome],
    ['way', [wayOf(recalled), `${protocol} over ${scheme} from ${peer || 'a unix socket'}`]],
    ['took', [timesOf(recalled), `${bytesIn} bytes of body in, ${bytesOut} out${tunnel ? ', as a tunnel' : ''}`]],
  ]
}

function tunnelSections(recalled: RecalledTunnel, paint: Paint): Section[] {
  const { protocol, ip, user, destination, sni, reason, detail, decidedBy } = shownTunnel(recalled)
  const { ms, connectMs, attempts, bytesIn, bytesOut, datagramsIn, datagramsOut } = recalled
  const name = sni === null || destination?.startsWith(`${sni}:`) === true ? '' : `, by TLS for ${sni}`
  const asked = destination === null ? (sni === null ? protocol : `${protocol} for ${sni}`) : `${protocol} to ${destination}${name}`
  const end = reason === null ? paint(32, 'ended by its sides') : [paint(31, reason), detail ?? ''].filter((part) => part !== '').join('  ')
  const isSession = protocol === 'UDP' || protocol === 'QUIC'
  const [into, out] = isSession ? [`${datagramsIn} datagrams, `, `${datagramsOut} datagrams, `] : ['', '']
  const connected =
    connectMs !== null ? `; connected after ${duration(connectMs)}` : attempts > 0 && !isSession ? '; it never connected' : ''
  return [
    ['client', [`${ip || 'by a unix socket'}${user === null ? '' : `, as ${user}`}`]],
    [isSession ? 'session' : 'tunnel', [asked]],
    ['end', [end, ...(decidedBy === null ? [] : [`decided by ${paint(1, clean(decidedBy))}`])]],
    ['way', [wayOf(recalled)]],
    ['took', [`${duration(ms)} in all${connected}`, `in: ${into}${bytesIn} bytes; out: ${out}${bytesOut} bytes`]],
  ]
}

function wayOf({ listener, route, upstream, endpoint, attempts }: Recalled): string {
  const steps = [listener, route ?? 'no route', upstream, endpoint].filter((step) => step !== null)
  return `${steps.map(clean).join(' → ')}${attempts > 1 ? `, after ${attempts} tries` : ''}`
}

function timesOf({ ms, upstreamMs, endpoint }: RecalledExchange): string {
  const all = `${duration(ms)} in all`
  if (upstreamMs !== null) return `${all}; the endpoint answered after ${duration(upstreamMs)}`
  return endpoint === null ? all : `${all}; the endpoint gave no answer`
}
