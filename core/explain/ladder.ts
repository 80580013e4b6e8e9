/** Draws who says what to whom as a ladder of text: client, sluice and endpoint side by side, time from top to bottom, 80 columns at most. */

export type Step =
  /** From one to its neighbour. */
  | { readonly kind: 'say'; readonly side: 'client' | 'endpoint'; readonly to: 'left' | 'right' | 'both'; readonly text: string }
  /** Between client and endpoint: Sluice passes it on, and has no part in it. */
  | { readonly kind: 'through'; readonly text: string }
  /** What Sluice does. */
  | { readonly kind: 'note'; readonly text: string }

const CLIENT = 6
const SLUICE = 36
const ENDPOINT = 74
const LAST = 79

export function ladder(endpoint: string, steps: readonly Step[]): string[] {
  return [heads(endpoint), line({}), ...steps.flatMap(lines), line({})]
}

/** A line of the drawing: what stands between the three, and whether Sluice's own line is crossed. */
interface Parts {
  readonly left?: string
  readonly right?: string
  readonly across?: string
}

function heads(endpoint: string): string {
  const name = endpoint.length > 12 ? `${endpoint.slice(0, 11)}…` : endpoint
  const at = Math.min(ENDPOINT - Math.floor(name.length / 2), LAST + 1 - name.length)
  const before = `${' '.repeat(CLIENT - 3)}client`.padEnd(SLUICE - 3)
  return `${before}sluice`.padEnd(at) + name
}

function line({ left = '', right = '', across }: Parts): string {
  const start = `${' '.repeat(CLIENT)}│`
  if (across !== undefined) return `${start}${across}│`
  return `${start}${left.padEnd(SLUICE - CLIENT - 1)}│${right.padEnd(ENDPOINT - SLUICE - 1)}│`
}

function lines(step: Step): string[] {
  if (step.kind === 'through') return [line({ across: arrow(step.text, ENDPOINT - CLIENT - 1, 'both', '═') })]
  if (step.kind === 'note') return wrapped(step.text, ENDPOINT - SLUICE - 3).map((right) => line({ right: ` ${right}` }))
  const { side, to, text } = step
  const width = side === 'client' ? SLUICE - CLIENT - 1 : ENDPOINT - SLUICE - 1
  const drawn = arrow(text, width, to, '─')
  return [line(side === 'client' ? { left: drawn } : { right: drawn })]
}

function arrow(text: string, width: number, to: 'left' | 'right' | 'both', stroke: '─' | '═'): string {
  const most = width - 6
  const shown = text.length > most ? `${text.slice(0, most - 1)}…` : text
  const middle = `${stroke} ${shown} `.padEnd(width - 2, stroke)
  const [begin, end] = [to === 'right' ? stroke : '◀', to === 'left' ? stroke : '▶']
  return `${begin}${middle}${end}`
}

function wrapped(text: string, width: number): string[] {
  const lines: string[] = []
  for (const whole of text.split(' ')) {
    const word = whole.length > width ? `${whole.slice(0, width - 1)}…` : whole
    const last = lines.at(-1)
    if (last === undefined || last.length + 1 + word.length > width) lines.push(word)
    else lines[lines.length - 1] = `${last} ${word}`
  }
  return lines
}
