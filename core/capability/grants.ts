/** What a plugin was granted, and the sentence that says which grant is missing. */

export function mustBeGranted(what: string, permission: string, grant: readonly string[]): void {
  if (!grant.includes(permission)) throw missing(what, permission)
}

/** `net:HOST:PORT`, that very host and port. */
export function mustBeGrantedHost(url: URL, grant: readonly string[]): void {
  const place = `${url.hostname}:${portOf(url)}`
  if (!grant.some((permission) => placeOf(permission) === place)) throw missing(`fetch to ${place}`, `net:${place}`)
}

export function portOf(url: URL): number {
  if (url.port !== '') return Number(url.port)
  return url.protocol === 'https:' ? 443 : 80
}

/** As a URL writes it: lower case, IPv6 shortened and in brackets; null if it is none. */
function placeOf(permission: string): string | null {
  const [, host, port] = /^net:(\[[0-9a-f:.]+\]|[^:/?#@[\]\\\s]+):(\d{1,5})$/i.exec(permission) ?? []
  const url = host === undefined ? null : URL.parse(`http://${host}/`)
  return url === null ? null : `${url.hostname}:${Number(port)}`
}

function missing(what: string, permission: string): Error {
  return new Error(`${what} takes the permission ${permission}: { grant: ['${permission}'] } beside the plugin's options gives it`)
}
