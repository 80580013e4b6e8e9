/** `compress`: bodies of responses in a content coding that the client takes. What it keeps for one goes with that body. */
import { toList } from '../config/lists.ts'
import { parseSize } from '../config/units.ts'
import type { CompressOptions, ContentEncoding } from '../dsl/message-policies.ts'
import { type Answer, type BodyPart, type EncodableBody, type HookCall, makeHook, PENDING } from '../hooks.ts'
import type { RequestHead, ResponseHead } from '../net/http1/head.ts'
import { mediaTypeOf } from '../net/http1/media-type.ts'
import { chooseEncoding } from './accept-encoding.ts'
import { BodyEncoder, type Encoded, encodeWhole } from './body-encoder.ts'
import { MediaTypes } from './media-types.ts'
import type { PolicyKind } from './policy.ts'
import { refusal } from './refusal.ts'
import { addVary } from './vary.ts'

const ENCODINGS = ['zstd', 'br', 'gzip'] as const
const TYPES = [
  ...['text/*', '*+json', '*+xml', 'application/json', 'application/xml', 'application/javascript', 'application/x-javascript'],
  ...['application/wasm', 'application/x-ndjson', 'application/manifest+json', 'image/svg+xml', 'font/ttf', 'font/otf'],
]

export const compress: PolicyKind<CompressOptions> = {
  isPure: true,
  bind(options) {
    const compressor = new Compressor(options)
    return makeHook('compress', {
      onResponseBody: {
        ...{ mode: 'stream', maxBytes: Number.POSITIVE_INFINITY, types: null },
        encode: ({ request, response }, body) => compressor.choose(request, response!, body),
        ask: (call) => compressor.ask(call),
        begin: (coding) => new BodyEncoder(coding as ContentEncoding),
      },
      forget: (state) => compressor.forget(state),
    })
  },
  describe({ encodings = ENCODINGS, minSize = '1kb' }) {
    return `${toList(encodings).join(', ')} for bodies from ${minSize} on`
  },
}

class Compressor {
  readonly #encodings: readonly ContentEncoding[]
  readonly #least: number
  readonly #types: MediaTypes
  /** Of bodies that came in more than one piece, as long as they come. */
  readonly #encoders = new Map<number, BodyEncoder>()

  constructor({ encodings = ENCODINGS, minSize = '1kb', types = TYPES }: CompressOptions) {
    this.#encodings = toList(encodings)
    this.#least = parseSize(minSize)!
    this.#types = new MediaTypes(toList(types))
  }

  /** The coding of a body that begins; null: it stays as it is. */
  choose(request: RequestHead, response: ResponseHead, { length, accepts }: EncodableBody): ContentEncoding | null {
    const { status } = response
    if (status === 204 || status === 206 || (length >= 0 && length < this.#least && status !== 304)) return null
    const isUnchanged = status === 304 && !response.has('content-type')
    if (
      response.has('content-encoding') ||
      response.has('content-range') ||
      !(isUnchanged || this.#types.has(mediaTypeOf(response.get('content-type'))))
    )
      return null
    if (/\bno-transform\b/i.test(response.get('cache-control') ?? '')) return null
    addVary(response, 'Accept-Encoding')
    return request.minor === 0 ? null : chooseEncoding(accepts, this.#encodings)
  }

  ask(call: HookCall): Answer {
    const { bytes, last, state } = call.part as BodyPart
    const coding = call.response!.get('content-encoding') as ContentEncoding
    const done: Encoded = (error, made) => {
      if (error === null) call.resume({ kind: 'bytes', bytes: made, isText: false })
      else call.resume(refusal('internal', `compressing failed: ${error.message}`))
    }
    const encoder = this.#encoders.get(state)
    if (encoder === undefined && last) encodeWhole(coding, bytes, done)
    else this.#begun(state, coding).encode(bytes, last, done)
    if (last) this.#encoders.delete(state)
    return PENDING
  }

  #begun(state: number, coding: ContentEncoding): BodyEncoder {
    let encoder = this.#encoders.get(state)
    if (encoder === undefined) {
      encoder = new BodyEncoder(coding)
      this.#encoders.set(state, encoder)
    }
    return encoder
  }

  forget(state: number): void {
    this.#encoders.get(state)?.destroy()
    this.#encoders.delete(state)
  }
}
