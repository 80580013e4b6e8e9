/** `contentFilter`: responses that do not pass, by URL, type, name, size and words. What it keeps for a body goes with that body. */
import { toList } from '../config/lists.ts'
import { parseSize } from '../config/units.ts'
import type { ContentFilterOptions } from '../dsl/content-policy.ts'
import { type Answer, type BodyPart, type HookCall, makeHook, type Verdict } from '../hooks.ts'
import type { ResponseHead } from '../net/http1/head.ts'
import { charsetOf, mediaTypeOf } from '../net/http1/media-type.ts'
import { attachmentName, extensionsOf, lastSegment } from './file-names.ts'
import { MediaTypes } from './media-types.ts'
import type { PolicyKind } from './policy.ts'
import { refusal } from './refusal.ts'
import { SIGNATURE_BYTES, sniff } from './signatures.ts'
import { WordSearch, Words } from './word-search.ts'

/** Held back of a body, so that a page can stand in its place. */
const HELD_BYTES = 262_144
/** Searched of a body. */
const SEARCHED_BYTES = 16 << 20
const TEXTS = ['text/*', '*+json', '*+xml', 'application/json', 'application/xml']
const TEXT_TYPES = new MediaTypes(TEXTS)
/** Whoever waits for these wants each piece as it comes. */
const LIVE = new Set(['text/event-stream'])

export const contentFilter: PolicyKind<ContentFilterOptions> = {
  isPure: true,
  bind(options) {
    const filter = new ContentFilter(options)
    const readsBodies = options.keywords !== undefined || options.sniff === true
    return makeHook('contentFilter', {
      onRequest: options.extensions === undefined ? null : ({ request }) => filter.judgeName(lastSegment(request.path)),
      onResponse: ({ response }) => filter.judgeHead(response!),
      ...(readsBodies
        ? {
            onResponseBody: {
              ...{ mode: 'stream', maxBytes: Number.POSITIVE_INFINITY, types: options.sniff === true ? null : [...TEXTS, ''] },
              ask: (call: HookCall) => filter.judgePiece(call.part as BodyPart, call.response!),
            },
            forget: (state: number) => filter.forget(state),
          }
        : {}),
    })
  },
  describe({ types, sniff, extensions, keywords, maxSize }) {
    const parts = [
      types === undefined ? '' : `${toList(types).join(', ')}${sniff === true ? ', by how bodies begin too' : ''}`,
      extensions === undefined ? '' : `files ${toList(extensions).join(', ')}`,
      keywords === undefined ? '' : `${toList(keywords).length === 1 ? 'a word' : `${toList(keywords).length} words`} in texts`,
      maxSize === undefined ? '' : `more than ${maxSize}`,
    ]
    return `blocks ${parts.filter((part) => part !== '').join('; ')}`
  },
}

/** Of a body under way. */
interface Watched {
  readonly search: WordSearch | null
  isSniffed: boolean
  /** Its beginning, or null once that has passed. */
  held: Buffer[] | null
  heldBytes: number
  seenBytes: number
}

class ContentFilter {
  readonly #types: MediaTypes | null
  readonly #sniffs: boolean
  readonly #extensions: ReadonlySet<string>
  readonly #words: Words | null
  readonly #most: number
  readonly #mostText: string
  readonly #watched = new Map<number, Watched>()

  constructor({ types, sniff = false, extensions = [], keywords, maxSize }: ContentFilterOptions) {
    this.#types = types === undefined ? null : new MediaTypes(toList(types))
    this.#sniffs = sniff
    this.#extensions = new Set(toList(extensions).map((extension) => extension.toLowerCase().replace(/^\./, '')))
    this.#words = keywords === undefined ? null : new Words(toList(keywords))
    this.#most = maxSize === undefined ? Number.POSITIVE_INFINITY : parseSize(maxSize)!
    this.#mostText = maxSize ?? ''
  }

  judgeName(name: string): Verdict | null {
    if (this.#extensions.size === 0) return null
    const found = extensionsOf(name).find((extension) => this.#extensions.has(extension))
    return found === undefined ? null : blocked(`extension ${found}`)
  }

  judgeHead(response: ResponseHead): Verdict | null {
    // What the proxy itself says is no content of anybody's.
    if (response.isOwn) return null
    const named = attachmentName(response.get('content-disposition'))
    const byName = named === null ? null : this.judgeName(named)
    return byName ?? this.#judgeType(mediaTypeOf(response.get('content-type')), '') ?? this.#judgeSize(response)
  }

  #judgeType(type: string, how: string): Verdict | null {
    return type !== '' && this.#types?.has(type) === true ? blocked(`type ${type}${how}`) : null
  }

  #judgeSize(response: ResponseHead): Verdict | null {
    if (this.#most === Number.POSITIVE_INFINITY) return null
    // Of a part, all of it counts.
    const whole = /^bytes [\d-]+\/(\d{1,15})$/.exec(response.get('content-range') ?? '')?.[1]
    if (Math.max(response.contentLength, Number(whole ?? 0)) > this.#most) return blocked(`more than ${this.#mostText}`)
    response.mostBody = Math.min(response.mostBody, this.#most)
    return null
  }

  judgePiece(part: BodyPart, response: ResponseHead): Answer {
    const watched = this.#watched.get(part.state) ?? this.#watch(part, response)
    const bytes = Buffer.from(part.bytes.buffer, part.bytes.byteOffset, part.bytes.byteLength)
    const found = this.#judgeBeginning(watched, bytes, part.last) ?? this.#search(watched, bytes, part.last)
    if (found !== null || part.last) this.#watched.delete(part.state)
    if (found !== null) return found
    return this.#pass(watched, bytes, part.last)
  }

  #watch({ type, state }: BodyPart, response: ResponseHead): Watched {
    // Without a type that can be read browsers find out for themselves, and take most for a page.
    const isText = this.#words !== null && (TEXT_TYPES.has(type) || type === '')
    const search = isText ? new WordSearch(this.#words!, charsetOf(response.get('content-type'))) : null
    const watched = { search, isSniffed: !this.#sniffs, held: LIVE.has(type) ? null : [], heldBytes: 0, seenBytes: 0 }
    this.#watched.set(state, watched)
    return watched
  }

  /** Once there is enough of it. */
  #judgeBeginning(watched: Watched, bytes: Buffer, last: boolean): Verdict | null {
    if (watched.isSniffed) return null
    const start = watched.held === null || watched.heldBytes === 0 ? bytes : Buffer.concat([...watched.held, bytes])
    if (start.length < SIGNATURE_BYTES && !last && watched.held !== null) return null
    watched.isSniffed = true
    return this.#judgeType(sniff(start), ', by how it begins')
  }

  #search(watched: Watched, bytes: Buffer, last: boolean): Verdict | null {
    const { search } = watched
    if (search === null || watched.seenBytes > SEARCHED_BYTES) return null
    watched.seenBytes += bytes.length
    const word = search.find(bytes, last)
    return word === null ? null : blocked(`keyword ${word}`)
  }

  /** What could still be found to be blocked waits, up to a bound. */
  #pass(watched: Watched, bytes: Buffer, last: boolean): Answer {
    const { held } = watched
    if (held === null) return null
    const isDone = last || watched.heldBytes + bytes.length > HELD_BYTES || (watched.search === null && watched.isSniffed)
    if (isDone) {
      watched.held = null
      return held.length === 0 ? null : { kind: 'bytes', bytes: Buffer.concat([...held, bytes]), isText: false }
    }
    held.push(Buffer.from(bytes))
    watched.heldBytes += bytes.length
    return HELD
  }

  forget(state: number): void {
    this.#watched.delete(state)
  }
}

const HELD: Verdict = { kind: 'bytes', bytes: Buffer.alloc(0), isText: false, holdsHead: true }

function blocked(rule: string): Verdict {
  return refusal('content_blocked', rule)
}
