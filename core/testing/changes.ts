/**
 * What happens to a message on its way, step by step: the difference between what it was before a step and after, named after whoever
 * made it. The proxy's own steps are those between two others.
 */
import type { RequestHead, ResponseHead } from '../net/http1/head.ts'
import type { Message } from './message-reader.ts'
import type { Change } from './messages.ts'

/** End at each hop, and belong to it: no step of a message. */
const OF_A_HOP = new Set(['connection', 'keep-alive', 'te', 'transfer-encoding', 'upgrade'])

/** A message as far as it concerns more than one hop. */
export type Snapshot = ReadonlyMap<string, string>

export function ofRequest(head: RequestHead): Snapshot {
  return snapshot([':method', head.method, ':path', head.path + head.search], (visit) => head.forEach(visit))
}

export function ofResponse(head: ResponseHead): Snapshot {
  return snapshot([':status', String(head.status)], (visit) => head.forEach(visit))
}

export function ofMessage({ startLine, fields }: Pick<Message, 'startLine' | 'fields'>): Snapshot {
  const [first = '', second = ''] = startLine.split(' ')
  const start = first.startsWith('HTTP/') ? [':status', second] : [':method', first, ':path', second]
  return snapshot(start, (visit) => {
    for (const [name, value] of fields) visit(name, value)
  })
}

function snapshot(start: readonly string[], forEach: (visit: (name: string, value: string) => void) => void): Snapshot {
  const map = new Map<string, string>()
  for (let i = 0; i < start.length; i += 2) map.set(start[i]!, start[i + 1]!)
  forEach((name, value) => {
    const lower = name.toLowerCase()
    if (OF_A_HOP.has(lower)) return
    const before = map.get(lower)
    map.set(lower, before === undefined ? value : `${before}, ${value}`)
  })
  return map
}

/** Who made a step. */
export type Maker = Pick<Change, 'by' | 'hook'>

export const proxyItself: Maker = { by: 'sluice', hook: null }

export class Trail {
  readonly changes: Change[] = []
  #last: Snapshot | null = null

  /** The message is another one from here on: nothing is compared with what was before. Null: it is not known yet. */
  start(message: Snapshot | null): void {
    this.#last = message
  }

  has(field: string): boolean {
    return this.#last?.has(field) === true
  }

  /** What has changed since the last step was that one's doing. */
  step(maker: Maker, now: Snapshot): void {
    const before = this.#last
    this.#last = now
    if (before === null) return
    const isStart = (field: string): boolean => field.startsWith(':')
    const compare = (field: string, to: string): void => {
      const from = before.get(field) ?? null
      if (from !== to) this.add(maker, { field, from, to, what: describe(field, from, to) })
    }
    // As people tell it: the first line, what is gone, what is new.
    for (const [field, to] of now) if (isStart(field)) compare(field, to)
    for (const [field, from] of before) if (!now.has(field)) this.add(maker, { field, from, to: null, what: `remove ${field}: ${from}` })
    for (const [field, to] of now) if (!isStart(field)) compare(field, to)
  }

  add(maker: Maker, change: Omit<Change, 'by' | 'hook'>): void {
    this.changes.push({ ...maker, ...change })
  }
}

function describe(field: string, from: string | null, to: string): string {
  if (field.startsWith(':')) return `${field === ':path' ? 'rewrite path' : `change ${field.slice(1)}`} ${from} → ${to}`
  return from === null ? `set ${field}: ${to}` : `set ${field}: ${to} (was ${from})`
}
