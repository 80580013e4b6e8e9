/** A gateway before a mail server: hides its greeting, bounds messages, and refuses what smuggles a second message past another server. */
import { definePlugin, deny } from 'sluice/plugin'
import * as z from 'zod/mini'
import { Dialogue, type Outcome } from './dialogue.ts'

export default definePlugin({
  name: 'smtp-guard',
  permissions: ['stream'],
  options: z.strictObject({
    banner: z.optional(z.string().check(z.regex(/^[A-Za-z0-9.-]+( [\x20-\x7e]{1,400})?$/))),
    maxSize: z.optional(z.string().check(z.regex(/^\d{1,4}(?:kb|mb)$/))),
    startTls: z.optional(z.enum(['refuse', 'pass'])),
  }),
  setup({ banner, maxSize = '25mb', startTls = 'refuse' }) {
    const rules = { banner: banner ?? null, maxSize: bytesOf(maxSize), passesTls: startTls === 'pass' }
    return {
      onData(data, conn, from) {
        conn.state.dialogue ??= new Dialogue(rules)
        const dialogue = conn.state.dialogue as Dialogue
        const text = textOf(data)
        const outcome: Outcome = from === 'client' ? dialogue.fromClient(text) : dialogue.fromServer(text)
        if ('on' in outcome) return outcome.on === text ? undefined : bytesIn(outcome.on)
        console.warn(`ended a connection of ${conn.ip}: ${outcome.ends}`)
        return deny()
      },
    }
  },
})

function bytesOf(size: string): number {
  return Number.parseInt(size, 10) * (size.endsWith('mb') ? 1024 * 1024 : 1024)
}

/** A character a byte. */
function textOf(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < bytes.length; at += 4096) {
    const some = bytes.subarray(at, at + 4096) as unknown as number[] // a list of numbers is all that it takes
    text += String.fromCharCode.apply(null, some)
  }
  return text
}

function bytesIn(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i)
  return bytes
}
