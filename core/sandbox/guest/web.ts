/** The globals of the web platform that a plugin may count on, beside `console` and timers. */

import { atob, btoa } from './base64.ts'
import { TextDecoder, TextEncoder } from './encoding.ts'
import { createCrypto } from './random.ts'
import { URLSearchParams } from './search-params.ts'
import { URL } from './url.ts'

export function webGlobals(seed: string): Record<string, unknown> {
  return { URL, URLSearchParams, TextEncoder, TextDecoder, atob, btoa, crypto: createCrypto(seed) }
}
