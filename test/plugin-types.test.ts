/** What the compiler says of a plugin in a config; a line that it should refuse and does not fails `npm run check`. */
import { definePlugin } from 'sluice/plugin'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import * as z from 'zod/mini'

const withDefault = () =>
  definePlugin({
    name: 'x',
    options: z.object({ n: z._default(z.number(), 5) }),
    setup({ n }) {
      const certain: number = n
      return { onRequest: (req) => void req.headers.set('x-n', String(certain)) }
    },
  })
const typed = () => definePlugin({ name: 'x', setup: (_options: { word: string }) => ({}) })
const named = () => definePlugin<{ word?: string }>({ name: 'x', setup: () => ({}) })

/** Never called: that it compiles is the test. */
export function uses(a: ReturnType<typeof withDefault>, b: ReturnType<typeof typed>, c: ReturnType<typeof named>): void {
  a()
  a({})
  a({ n: 1 }, { grant: ['kv'] })
  // @ts-expect-error: a number
  a({ n: 'one' })
  b({ word: 'x' })
  // @ts-expect-error: it has no default
  b({})
  c()
  // @ts-expect-error: no such option
  c({ wrd: 'x' })
}

test('run outside of the sandbox, a definition says so', () => {
  for (const make of [withDefault, typed, named]) assert.throws(make, /definePlugin was called outside the sandbox/)
})

test.run()
