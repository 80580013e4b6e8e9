import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { nearest } from '../../core/config/nearest.ts'
import { parseDuration, parseSize } from '../../core/config/units.ts'
import { lines, load } from './support.ts'

test('durations and sizes', () => {
  assert.equal(['0ms', '250ms', '5s', '2m', '1h', '1d'].map(parseDuration), [0, 250, 5000, 120_000, 3_600_000, 86_400_000])
  assert.equal(['1b', '16kb', '1mb', '2gb'].map(parseSize), [1, 16_384, 1_048_576, 2_147_483_648])
  for (const text of ['', '5', 's', '5 s', '-5s', '5.5s', '5S', '1e3ms', '5s ', '9999999999s']) assert.is(parseDuration(text), null, text)
  for (const text of ['', '5', 'kb', '5 kb', '5KB', '5k', '0x5b']) assert.is(parseSize(text), null, text)
})

test('the nearest word is the one that was meant, or none', () => {
  const known = ['path', 'host', 'method', 'headers', 'routes', 'redirect']
  assert.is(nearest('pth', known), 'path')
  assert.is(nearest('Path', known), 'path')
  assert.is(nearest('header', known), 'headers')
  assert.is(nearest('rotues', known), 'routes')
  assert.is(nearest('zzz', known), null)
  assert.is(nearest('', known), null)
  assert.is(nearest('x', []), null)
})

test('a word with one mistake in it is found again', () => {
  const known = ['connections', 'idleConnections', 'encodedSlashes', 'requestLine']
  fc.assert(
    fc.property(fc.constantFrom(...known), fc.nat(20), fc.constantFrom('x', ''), (word, at, instead) => {
      const wrong = word.slice(0, at) + instead + word.slice(at + 1)
      assert.is(nearest(wrong, known), word)
    }),
  )
})

test('the larger example is right in shape: only what is planned is refused', async () => {
  const { problems } = await load({
    'proxy.config.ts': `export { default } from ${JSON.stringify(`${import.meta.dirname}/ok.config.ts`)}`,
  })
  const said = lines(problems).map((line) => line.replace(/^\S+ /, ''))
  assert.ok(said.length > 0)
  for (const line of said)
    assert.match(
      line,
      /not supported yet$|tls\.(?:cert|key): there is no file \S+\/[ck]$|block\.files\[0\]: there is no file \S+\/ads\.txt$/,
    )
})

test('proxy.config.ts is valid, also with what is commented out', async () => {
  const { readFileSync } = await import('node:fs')
  const root = `${import.meta.dirname}/../..`
  const text = readFileSync(`${root}/proxy.config.ts`, 'utf8').replaceAll("from './", `from '${root}/`)
  const switchedOn = text.replace(/\/\/ (import evil|\{ path: '\/evil')/g, '$1')
  assert.is.not(switchedOn, text)
  for (const config of [text, switchedOn]) assert.equal(lines((await load(config)).problems), [])
})

test.run()
