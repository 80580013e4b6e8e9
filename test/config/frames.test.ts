import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { errorProblem, formatFrame, formatProblems, placeIn } from '../../core/config/problems.ts'
import { maskPlace, Secrets } from '../../core/config/secrets.ts'

test('a frame shows two lines before and one after, without a line after the last', () => {
  assert.is(formatFrame(placeIn('1\n2\n3\n4\n5\n', '/a', 3, 1)), '  1 | 1\n  2 | 2\n> 3 | 3\n    | ^\n  4 | 4')
  assert.is(formatFrame(placeIn('only\n', '/a', 1, 5)), '> 1 | only\n    |     ^')
})

test('a long line is cut around the mark', () => {
  const text = `${'a'.repeat(500)}!${'b'.repeat(500)}`
  const [row, mark, ...more] = formatFrame(placeIn(`${text}\nshort`, '/a', 1, 501)).split('\n')
  assert.is(row!.indexOf('!'), mark!.indexOf('^'))
  assert.match(row!, /^> 1 \| …a+!b+…$/)
  assert.ok(row!.length <= 170)
  assert.equal(more, ['  2 | …'])
})

test('a long line with the mark near its start is cut at its end alone', () => {
  const [row, mark] = formatFrame(placeIn(`ab${'c'.repeat(300)}`, '/a', 1, 2)).split('\n')
  assert.match(row!, /^> 1 \| abc+…$/)
  assert.is(mark, '    |  ^')
})

test('of a line without end only what is near the mark is kept', () => {
  const place = placeIn(`${'a'.repeat(50_000)}!${'b'.repeat(50_000)}`, '/a', 1, 50_001)
  assert.is(place.column, 50_001)
  assert.ok(JSON.stringify(place).length < 10_000)
  const masked = maskPlace(place, new Secrets())
  for (const one of [place, masked]) {
    const [row, mark] = formatFrame(one).split('\n')
    assert.is(row!.indexOf('!'), mark!.indexOf('^'))
  }
})

test('files below the folder are shown relative to it', () => {
  const problem = errorProblem('no', placeIn('x', '/app/lib/a.ts', 1, 1), 'a.b')
  assert.match(formatProblems([problem], { color: false, folder: '/app' }), /^lib\/a\.ts:1:1: error: a\.b: no\n/)
  assert.match(formatProblems([problem], { color: false, folder: '/ap' }), /^\/app\/lib\/a\.ts:1:1: error: a\.b: no\n/)
})

test.run()
