/** Reads what the guest tells of a plugin: nothing of it is believed unseen. Throws a sentence. */
import { isToken } from '../net/http1/fields.ts'
import { type Definition, MAX_SEES, type MatchDefinition, PLUGIN_NAME } from './wire.ts'

const MOST_WORDS = 256

export function readDefinition(text: string): Definition {
  const { name, permissions, sees, match, at } = record(JSON.parse(text))
  if (typeof name !== 'string' || !PLUGIN_NAME.test(name)) throw new Error('the plugin has a name that cannot be')
  return {
    name,
    permissions: words(permissions, MOST_WORDS),
    sees: sees === null ? null : words(sees, MAX_SEES).map(fieldName),
    match: match === null ? null : readMatch(record(match)),
    at: typeof at === 'string' ? at : '',
  }
}

function readMatch(match: Record<string, unknown>): MatchDefinition {
  const told = (['path', 'method', 'host'] as const).filter((key) => match[key] !== undefined)
  return Object.fromEntries(told.map((key) => [key, words(match[key], MOST_WORDS)]))
}

function fieldName(name: string): string {
  if (!isToken(name)) throw new Error(`sees has what is no name of a field: ${JSON.stringify(name.slice(0, 100))}`)
  return name.toLowerCase()
}

function words(value: unknown, most: number): string[] {
  const isList = Array.isArray(value) && value.length <= most && value.every((word) => typeof word === 'string')
  if (!isList) throw new Error('the plugin tells of itself what makes no sense')
  return value
}

function record(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) throw new Error('the plugin tells of itself what makes no sense')
  return value as Record<string, unknown>
}
