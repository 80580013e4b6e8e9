/** The zod of the checking process: the same but for its languages, and nobody else's. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { withLeanZod } from '../../core/check/lean-zod.ts'

test('it has no languages and checks as the whole one, which a config finds as ever', async () => {
  const lean = await withLeanZod(() => import('zod/mini'))
  const config = `data:text/javascript,export * from ${JSON.stringify(import.meta.resolve('zod/mini'))}`
  const whole: typeof lean = await import(config)
  assert.equal(Object.keys(lean.locales), [])
  assert.ok(Object.keys(whole.locales).length > 50)
  for (const z of [lean, whole]) {
    const { error } = z.safeParse(z.strictObject({ a: z.int() }), { a: 'x', b: 1 })
    assert.equal(error?.issues.map(({ code }) => code).sort(), ['invalid_type', 'unrecognized_keys'])
  }
})

test.run()
