/** What endpoints are told of the claims in a token. */
import { isFieldValue } from '../net/http1/fields.ts'
import { fieldText } from './identity-field.ts'

const MOST_TEXT = 4_096

export type ClaimFields = readonly (readonly [name: string, value: string])[]

/** `names`: fields, each with the claim that it tells of. */
export function claimFields(claims: Readonly<Record<string, unknown>>, names: Readonly<Record<string, string>>): ClaimFields {
  const fields: (readonly [string, string])[] = []
  for (const [name, claim] of Object.entries(names)) {
    const value = textOf(claimOf(claims, claim))
    if (value !== null) fields.push([name, value])
  }
  return fields
}

/** A claim of that name, or inside of others by a path with dots. */
function claimOf(claims: Readonly<Record<string, unknown>>, path: string): unknown {
  if (Object.hasOwn(claims, path)) return claims[path]
  let value: unknown = claims
  for (const name of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
    value = (value as Readonly<Record<string, unknown>>)[name]
  }
  return value
}

/** Null for what no field can hold. */
function textOf(value: unknown): string | null {
  if (value === undefined || value === null) return null
  const isList = Array.isArray(value) && value.every((one) => typeof one === 'string' && !one.includes(','))
  const text = isList ? value.join(',') : typeof value === 'object' ? JSON.stringify(value) : String(value)
  const field = fieldText(text)
  return isFieldValue(field) && field.length <= MOST_TEXT ? field : null
}
