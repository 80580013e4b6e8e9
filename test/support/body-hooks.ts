/** Hooks of bodies for tests: what they do in one function, what they were asked about on record. */
import type { Answer, BodyHook, BodyPart, Hook, HookCall, Verdict } from '../../core/hooks.ts'
import { hook } from './proxy.ts'

export interface Piece {
  readonly text: string
  readonly last: boolean
  readonly type: string
  readonly state: number
}

export interface RecordingHook extends Hook {
  readonly pieces: Piece[]
  readonly forgotten: number[]
  /** Of all pieces together. */
  readonly text: string
}

type Wish = Partial<Omit<BodyHook, 'ask'>> & { readonly side?: 'request' | 'response'; readonly name?: string }

export const bytes = (text: string | Uint8Array): Verdict => ({ kind: 'bytes', bytes: Buffer.from(text as string), isText: false })
export const deny: Verdict = { kind: 'deny' }
export const respond = (status: number, body = ''): Verdict => ({ kind: 'respond', status, body, headers: {} })

/** `decide` gets the text (as latin1) of each piece; default: lets it pass. */
export function bodyHook(
  { side = 'response', name = 'h', ...wish }: Wish = {},
  decide: (text: string, part: BodyPart, call: HookCall) => Answer = () => null,
): RecordingHook {
  const pieces: Piece[] = []
  const forgotten: number[] = []
  const asked: BodyHook = {
    ...{ mode: 'stream', maxBytes: 1 << 20, types: null },
    ...wish,
    ask(call) {
      const part = call.part as BodyPart
      const text = Buffer.from(part.bytes).toString('latin1')
      pieces.push({ text, last: part.last, type: part.type, state: part.state })
      return decide(text, part, call)
    },
  }
  const made = hook(name, {
    [side === 'request' ? 'onRequestBody' : 'onResponseBody']: asked,
    forget: (state) => {
      forgotten.push(state)
    },
  })
  return Object.defineProperty(Object.assign(made, { pieces, forgotten, text: '' }), 'text', {
    get: () => pieces.map(({ text }) => text).join(''),
  })
}
