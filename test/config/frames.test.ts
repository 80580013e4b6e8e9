import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { errorProblem, formatFrame, formatProblems, placeIn } from '../../core/config/problems.ts'

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

test('files below the folder are shown relative to it', () => {
  const problem = errorProblem('no', placeIn('x', '/app/lib/a.ts', 1, 1), 'a.b')
  assert.match(formatProblems([problem], { color: false, folder: '/app' }), /^lib\/a\.ts:1:1: error: a\.b: no\n/)
  assert.match(formatProblems([problem], { color: false, folder: '/ap' }), /^\/app\/lib\/a\.ts:1:1: error: a\.b: no\n/)
})

test.run()
