/** From what zod says of a value to findings with our words, each with the path to what it is about. */
import * as z from 'zod/mini'
import { nearest } from './nearest.ts'
import type { Path, Step } from './positions.ts'
import { type Finding, ownMember } from './report.ts'
import type { Schema } from './schema-values.ts'

/** `path`: where the value stands in the config. */
export function findingsOf(schema: Schema, value: unknown, path: Path): Finding[] {
  const { error } = z.safeParse(schema, value)
  return error === undefined ? [] : error.issues.flatMap((issue) => findingOf(issue, value, path))
}

function findingOf(issue: z.core.$ZodIssue, root: unknown, base: Path): Finding[] {
  const { path, value } = follow(root, issue.path, base)
  if (issue.code === 'unrecognized_keys') {
    const known = issue.message.split(' ')
    return issue.keys.map((key) => error([...path, key], unknownKey(key, known), 'key'))
  }
  const last = path.at(-1)
  const isGiven = issue.code === 'custom' && issue.params?.isGiven === true
  if (value === undefined && typeof last === 'string' && !isGiven) return [error(path.slice(0, -1), `${last} is missing`)]
  // The one key that zod has a record's key checked by says it in its own words.
  if (issue.code === 'invalid_key') return issue.issues.map(({ message }) => error(path, message, 'key'))
  return [error(path, issue.message, issue.code === 'custom' && issue.params?.at === 'key' ? 'key' : 'value')]
}

function error(path: Path, message: string, what: 'key' | 'value' = 'value'): Finding {
  return { severity: 'error', path, message, what }
}

function unknownKey(key: string, known: readonly string[]): string {
  const near = nearest(key, known)
  return `unknown key${near === null ? `; known are ${known.join(', ')}` : `; did you mean ${near}?`}`
}

/** The steps as the user would write them, and what is at their end. */
function follow(root: unknown, steps: readonly PropertyKey[], base: Path): { path: Path; value: unknown } {
  const path: Step[] = [...base]
  let value = root
  for (const step of steps) {
    path.push(toStep(value, step))
    value = typeof value === 'object' && value !== null ? Reflect.get(value, step) : undefined
  }
  return { path, value }
}

/** Which field of what a helper returns holds what it was given. */
const WRAPPED: Readonly<Record<string, readonly string[]>> = {
  http: ['options'],
  tcp: ['options'],
  udp: ['options'],
  forward: ['options'],
  socks: ['options'],
  upstream: ['options'],
  blocklist: ['options'],
  pac: ['options'],
  ftp: ['options'],
  intercept: ['options'],
  balancer: ['options'],
  discovery: ['options'],
  split: ['parts', 'options'],
  files: ['path', 'options'],
  policy: ['options'],
}

function toStep(container: unknown, step: PropertyKey): Step {
  if (typeof step === 'number') return step
  const name = String(step)
  const kind = typeof container === 'object' && container !== null && 'kind' in container ? container.kind : null
  return typeof kind === 'string' && ownMember(WRAPPED, kind)?.includes(name) === true ? { hidden: name } : name
}
