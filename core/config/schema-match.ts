/** What fields of a request are matched with, in routes and policies. */
import { show } from './report.ts'
import { anything, chosen, oneOrMany, record, type Schema, textThat, wrong } from './schema-values.ts'

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
export const method: Schema = textThat((written) => (TOKEN.test(written) ? null : `not a method: ${show(written)}`))
const fieldName = textThat((written) => (TOKEN.test(written) ? null : `not the name of a field: ${show(written)}`))

const notAMatch = wrong('text, a RegExp, true or false')
const oneMatch = chosen((value) => (typeof value === 'string' || value instanceof RegExp ? anything : notAMatch))
const someMatches = oneOrMany(oneMatch)
export const fieldMatch: Schema = chosen((value) => (typeof value === 'boolean' ? anything : someMatches))
export const fieldMatches: Schema = record(fieldMatch, fieldName)
