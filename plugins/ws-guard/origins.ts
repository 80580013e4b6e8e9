/** Origins as browsers send them (RFC 6454 §7): scheme, host, and the port unless it is the default one. */

/** An exact origin, or what stands before and after the `*` of `https://*.example.com`. */
export type Allowed = { readonly exact: string } | { readonly start: string; readonly end: string }

export function readOrigins(origins: readonly string[]): readonly Allowed[] {
  return origins.map((text) => {
    const found = /^(https?:\/\/)(\*\.)?([a-z0-9-]+(?:\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])(:\d{1,5})?$/i.exec(text)
    if (found === null) throw new Error(`origins: not an origin: ${text} (like https://app.example.com, https://*.example.com)`)
    const [, scheme, wildcard, host, port = ''] = found
    const isDefault = port === (scheme!.toLowerCase() === 'https://' ? ':443' : ':80')
    const end = `${host!.toLowerCase()}${isDefault ? '' : port}`
    return wildcard === undefined ? { exact: scheme!.toLowerCase() + end } : { start: scheme!.toLowerCase(), end: `.${end}` }
  })
}

export function isOriginOf(allowed: readonly Allowed[], origin: string): boolean {
  const lower = origin.toLowerCase()
  return allowed.some((one) => {
    if ('exact' in one) return lower === one.exact
    const middle = lower.slice(one.start.length, -one.end.length)
    // One or more labels, and nothing that would make another host of it.
    return lower.startsWith(one.start) && lower.endsWith(one.end) && /^[a-z0-9-]+(?:\.[a-z0-9-]+)*$/.test(middle)
  })
}
