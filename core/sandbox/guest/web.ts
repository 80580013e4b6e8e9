/** The globals of the web platform that a plugin may count on, beside `console` and timers. */

import { AbortController, AbortSignal, DOMException } from './abort.ts'
import { atob, btoa } from './base64.ts'
import { structuredClone } from './clone.ts'
import { TextDecoder, TextEncoder } from './encoding.ts'
import { fetch } from './fetch.ts'
import { Headers } from './headers.ts'
import { createCrypto } from './random.ts'
import { URLSearchParams } from './search-params.ts'
import { CryptoKey, subtle } from './subtle.ts'
import { URL } from './url.ts'

export function webGlobals(seed: string): Record<string, unknown> {
  return {
    ...{ URL, URLSearchParams, TextEncoder, TextDecoder, atob, btoa, structuredClone, DOMException, AbortController, AbortSignal },
    ...{ fetch, Headers, CryptoKey, crypto: { ...createCrypto(seed), subtle } },
  }
}
