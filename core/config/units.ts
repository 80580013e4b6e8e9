/** Durations and sizes as a config writes them: `250ms 5s 2m 1h 1d`, `512b 16kb 1mb 2gb`. Whole numbers, no space. */

const MILLISECONDS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const BYTES = { b: 1, kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3 } as const

/** In milliseconds; null if it is none. */
export function parseDuration(text: string): number | null {
  const match = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text)
  return match === null ? null : Number(match[1]) * MILLISECONDS[match[2] as keyof typeof MILLISECONDS]
}

/** In bytes, 1024 a step; null if it is none. */
export function parseSize(text: string): number | null {
  const match = /^(\d{1,9})(b|kb|mb|gb)$/.exec(text)
  return match === null ? null : Number(match[1]) * BYTES[match[2] as keyof typeof BYTES]
}

/** The shortest text for so many bytes: `10gb`. */
export function sizeText(bytes: number): string {
  const [unit, size] = Object.entries(BYTES).findLast(([, one]) => bytes % one === 0 && bytes >= one) ?? ['b', 1]
  return `${bytes / size}${unit}`
}

const NAMES_OF_TIMES = {
  ms: 'ms|msecs?|millis|milliseconds?',
  s: 's|secs?|seconds?',
  m: 'm|mins?|minutes?',
  h: 'h|hrs?|hours?',
  d: 'd|days?',
}
const NAMES_OF_SIZES = { b: 'b|bytes?', kb: 'kb?|kib', mb: 'mb?|mib', gb: 'gb?|gib' }

/** `'1 min'` → `'1m'`: what was most likely meant by a text that is no duration; null if nobody can tell. */
export function suggestDuration(text: string): string | null {
  return suggest(text, NAMES_OF_TIMES)
}

/** `'32K'` → `'32kb'` */
export function suggestSize(text: string): string | null {
  return suggest(text, NAMES_OF_SIZES)
}

function suggest(text: string, units: Readonly<Record<string, string>>): string | null {
  const [, number, written] = /^\s*(\d{1,9})\s*([a-z]+)\s*$/i.exec(text) ?? []
  if (number === undefined || written === undefined) return null
  const unit = Object.keys(units).find((one) => new RegExp(`^(?:${units[one]})$`, 'i').test(written))
  return unit === undefined ? null : `${Number(number)}${unit}`
}
