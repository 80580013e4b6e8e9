/** Which content coding a client is given, by its `Accept-Encoding` (RFC 9110 §12.5.3). Pure. */

/** Null: none of them. Of several that it likes as much, the first in `offered`. */
export function chooseEncoding<T extends string>(field: string | null, offered: readonly T[]): T | null {
  if (field === null) return null
  const weights = new Map(field.toLowerCase().split(',', 50).map(weighed))
  let best: T | null = null
  let most = 0
  for (const coding of offered) {
    const weight = weights.get(coding) ?? (coding === 'gzip' ? weights.get('x-gzip') : undefined) ?? weights.get('*') ?? 0
    if (weight <= most) continue
    best = coding
    most = weight
  }
  // Who would rather have it plain gets it plain.
  return most < (weights.get('identity') ?? 0) ? null : best
}

function weighed(text: string): readonly [coding: string, weight: number] {
  const [coding = '', ...parameters] = text.split(';')
  for (const parameter of parameters) {
    const [, weight] = /^\s*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*$/.exec(parameter) ?? []
    if (weight !== undefined) return [coding.trim(), Number(weight)]
  }
  return [coding.trim(), 1]
}
