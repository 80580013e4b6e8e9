/**
 * Words looked for in a text that comes in pieces, wherever it was cut: whole words, in any case, runs of white space taken for one. What is kept
 * from piece to piece is as long as the longest of them.
 */

/** A word may have so much white space in the place of one. */
const MOST_SPACE = 8
const LETTER = '[\\p{L}\\p{N}_]'
/** Written without spaces, so no word of them ends where another begins. */
const UNSPACED = /[\p{sc=Han}\p{sc=Hira}\p{sc=Kana}\p{sc=Thai}\p{sc=Laoo}\p{sc=Khmr}\p{sc=Mymr}]/u
const BOMS: readonly (readonly [bom: string, charset: string])[] = [
  ['\xff\xfe', 'utf-16le'],
  ['\xfe\xff', 'utf-16be'],
  ['\xef\xbb\xbf', 'utf-8'],
]
/** Where a document says how it is written, if nobody else does. */
const META = /<meta[^>]{0,200}charset\s{0,8}=\s{0,8}["']?([\w-]{2,40})/i
const META_BYTES = 1024

export class Words {
  readonly pattern: RegExp
  /** Characters that a match can have, at the most. */
  readonly longest: number
  readonly #words: ReadonlyMap<string, string>

  /** `casino*` stands for all words that begin so. */
  constructor(written: readonly string[]) {
    this.#words = new Map(written.map((word) => [normal(word), word]))
    const sourceOf = (word: string, isWhole: boolean): string => {
      const isPrefix = word.endsWith('*')
      const source = (isPrefix ? word.slice(0, -1) : word)
        .split(' ')
        .map((part) => part.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&'))
        .join(`\\s{1,${MOST_SPACE}}`)
      return isPrefix || !isWhole ? source : `${source}(?!${LETTER})`
    }
    const all = [...this.#words.keys()]
    const whole = all.filter((word) => !UNSPACED.test(word)).map((word) => sourceOf(word, true))
    const others = all.filter((word) => UNSPACED.test(word)).map((word) => sourceOf(word, false))
    this.pattern = new RegExp([...(whole.length === 0 ? [] : [`(?<!${LETTER})(?:${whole.join('|')})`]), ...others].join('|'), 'gu')
    this.longest = Math.max(...[...this.#words.keys()].map((word) => word.length + word.split(' ').length * MOST_SPACE))
  }

  /** As it was written; what was found has its own white space. */
  named(found: string): string {
    const text = normal(found)
    return (
      this.#words.get(text) ?? [...this.#words.entries()].find(([word]) => word.endsWith('*') && text === word.slice(0, -1))?.[1] ?? text
    )
  }
}

function normal(text: string): string {
  return text.normalize('NFC').toLowerCase().replace(/\s+/gu, ' ').trim()
}

/** Of one text. */
export class WordSearch {
  readonly #words: Words
  #charset: string | null
  #decoder: TextDecoder | null = null
  /** The end of what came, in which a word may have begun. */
  #tail = ''
  #isCut = false

  /** `charset`: as somebody has said; null: nobody has. */
  constructor(words: Words, charset: string | null) {
    this.#words = words
    this.#charset = charset
  }

  /** The first of the words that is found, as it was written; null: none so far. `last`: nothing more comes. */
  find(bytes: Uint8Array, last: boolean): string | null {
    this.#decoder ??= decoderFor(this.#charset ?? charsetIn(bytes))
    const { pattern, longest } = this.#words
    const text = this.#tail + this.#decoder.decode(bytes, { stream: !last }).toLowerCase()
    // The first character of what was cut off is there to look back at.
    pattern.lastIndex = this.#isCut ? 1 : 0
    const match = pattern.exec(text)
    // One that ends where the text does may go on.
    if (match !== null && (last || match.index + match[0].length < text.length)) return this.#words.named(match[0])
    const keep = longest + 2
    this.#isCut ||= text.length > keep
    this.#tail = text.length > keep ? text.slice(-keep) : text
    return null
  }
}

function charsetIn(bytes: Uint8Array): string {
  const start = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, META_BYTES)).latin1Slice()
  for (const [bom, charset] of BOMS) if (start.startsWith(bom)) return charset
  return META.exec(start)?.[1] ?? 'utf-8'
}

function decoderFor(charset: string): TextDecoder {
  try {
    return new TextDecoder(charset)
  } catch {
    return new TextDecoder()
  }
}
