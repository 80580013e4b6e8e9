/**
 * What an endpoint says of places, as its client knows them: references and cookies. Pure. What points elsewhere stays as it is, and
 * no reference that was on this host leads to another one afterwards.
 */
import type { Passage } from '../hooks.ts'

export interface OutsideView extends Passage {
  /** What the client asked for, as it wrote it. */
  readonly host: string
  readonly scheme: 'http' | 'https'
}

const ABSOLUTE = /^(?:(https?):)?\/\/(?:[^/?#@]*@)?([^/?#]*)([\s\S]*)$/i

/** Of `Location` and the like (RFC 3986 §4.1): absolute, without its scheme, or a path. One that is relative to its own place stays. */
export function referenceOutside(text: string, view: OutsideView): string {
  const parts = ABSOLUTE.exec(text)
  if (parts === null) return text.startsWith('/') ? pathOutside(text, view) : text
  const scheme = (parts[1]?.toLowerCase() ?? view.scheme) as 'http' | 'https'
  const name = authorityOf(parts[2]!, scheme)
  const rest = parts[3]!.startsWith('/') ? parts[3]! : `/${parts[3]}`
  if (name !== authorityOf(view.host, view.scheme)) return view.hosts.includes(name) ? onThisHost(pathOutside(rest, view)) : text
  // TLS has ended here, and the endpoint does not know it.
  if (scheme === 'http' && view.scheme === 'https') return onThisHost(pathOutside(rest, view))
  return text.slice(0, text.length - parts[3]!.length) + pathOutside(rest, view)
}

/** `5; url=/x` */
export function refreshOutside(text: string, view: OutsideView): string {
  const parts = /^(\s*\d*\s*[;,]\s*url\s*=\s*)(["']?)(.*)\2\s*$/i.exec(text)
  return parts === null ? text : `${parts[1]}${parts[2]}${referenceOutside(parts[3]!, view)}${parts[2]}`
}

/** A `Set-Cookie` (RFC 6265 §5.2): a domain of endpoints is taken out, which leaves the cookie to the host that was asked; the path is told as it is outside. */
export function cookieOutside(value: string, view: OutsideView): string {
  // Bound by its name to / and to no domain (RFC 6265bis §4.1.3.2).
  if (/^\s*__Host-/i.test(value)) return value
  const [pair, ...attributes] = value.split(';')
  const kept = attributes.flatMap((attribute) => {
    const [, domain] = /^\s*domain\s*=(.*)$/i.exec(attribute) ?? []
    if (domain !== undefined) return isForeign(domain.trim().replace(/^\./, '').toLowerCase(), view) ? [] : [attribute]
    const [, start, path] = /^(\s*path\s*=\s*)(\/.*)$/i.exec(attribute) ?? []
    return [path === undefined ? attribute : `${start}${cookiePath(path.trimEnd(), view)}`]
  })
  return [pair, ...kept].join(';')
}

/** Browsers would refuse it: it is the domain of an endpoint, and not of what was asked. */
function isForeign(domain: string, { host, hosts }: OutsideView): boolean {
  return !isWithin(nameOf(host.toLowerCase()), domain) && hosts.some((one) => isWithin(nameOf(one), domain))
}

function isWithin(name: string, domain: string): boolean {
  return name === domain || name.endsWith(`.${domain}`)
}

/** Without a slash at its end, for `/app` is asked for, too. */
function cookiePath(path: string, view: OutsideView): string {
  const outside = pathOutside(path, view)
  return outside === path || path !== `${view.inside}/` ? outside : outside.slice(0, -1) || '/'
}

function pathOutside(reference: string, { inside, outside }: Passage): string {
  if (inside === outside) return reference
  const end = reference.search(/[?#]/)
  const path = end < 0 ? reference : reference.slice(0, end)
  if (path !== inside && !path.startsWith(`${inside}/`)) return reference
  const rest = reference.slice(inside.length)
  return outside === '' && path === inside ? `/${rest}` : outside + rest
}

/** Two slashes at the start, or a slash and a backslash, would name another host. */
function onThisHost(path: string): string {
  return path.replace(/^[/\\]{2,}/, '/')
}

/** In lower case, without the port that goes without saying. */
function authorityOf(written: string, scheme: 'http' | 'https'): string {
  const lower = written.toLowerCase()
  const port = scheme === 'https' ? ':443' : ':80'
  return lower.endsWith(port) ? lower.slice(0, -port.length) : lower
}

function nameOf(authority: string): string {
  return authority.replace(/:\d+$/, '')
}
