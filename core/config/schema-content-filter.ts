/** Options of `contentFilter`. */
import { isObject } from './report.ts'
import { mediaType } from './schema-field-policies.ts'
import { chosen, flag, object, oneOrMany, refused, type Schema, size, textThat } from './schema-values.ts'

const MOST_KEYWORDS = 1000

const extension = textThat((written) =>
  /^\.?[a-z0-9_-]{1,20}(?:\.[a-z0-9_-]{1,20})?$/i.test(written)
    ? null
    : `expected the end of a file's name such as 'exe' or 'tar.gz', got '${written}'`,
)
const keyword = textThat((written) => {
  const word = written.replace(/\*$/, '').trim()
  if (word.includes('*')) return 'a * stands at the end of a word alone: it is for all that begins so'
  return word.length >= 2 && word.length <= 100 ? null : 'a keyword has 2 to 100 characters'
})
const keywords = chosen((value) =>
  Array.isArray(value) && value.length > MOST_KEYWORDS ? refused(`at most ${MOST_KEYWORDS} keywords are looked for`) : oneOrMany(keyword),
)
const fields = object({
  types: oneOrMany(mediaType),
  sniff: flag,
  extensions: oneOrMany(extension),
  keywords,
  maxSize: size,
})

export const contentFilterOptions: Schema = chosen((value) => {
  if (!isObject(value)) return fields
  const { types, sniff, extensions, keywords: words, maxSize } = value
  if (sniff === true && types === undefined) return refused('sniff says of what type a body is, and no type is blocked: add types')
  const isEmpty = [types, extensions, words, maxSize].every((one) => one === undefined)
  return isEmpty && sniff === undefined && Object.keys(value).length === 0
    ? refused('expected types, extensions, keywords or maxSize')
    : fields
})
