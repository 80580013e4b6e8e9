/** A file that people wrote by hand is changed in one place, and what was there stays as it was. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { formatJson, JsoncError, parseJsonc, setJsonc } from '../../core/cli/jsonc.ts'

test('keeps comments, order, tabs and a trailing comma', () => {
  const before = '// mine\n{\n\t"a": { // first\n\t\t"x": 1, // last\n\t},\n\t/* b */ "b": [1, 2,],\n}\n'
  const after = setJsonc(before, ['a', 'paths', 'sluice'], ['/x'])
  assert.is(
    after,
    '// mine\n{\n\t"a": { // first\n\t\t"x": 1, // last\n\t\t"paths": {\n\t\t\t"sluice": ["/x"]\n\t\t},\n\t},\n\t/* b */ "b": [1, 2,],\n}\n',
  )
})

test('puts a comma where none was, before the comment of that line', () => {
  assert.is(setJsonc('{\n  "a": 1 // one\n}', ['b'], true), '{\n  "a": 1, // one\n  "b": true\n}')
})

test('fills an empty object, and one on a single line', () => {
  assert.is(setJsonc('{}', ['a', 'b'], 1), '{\n  "a": {\n    "b": 1\n  }\n}')
  assert.equal(parseJsonc(setJsonc('{ "a": 1 }', ['b'], 2)).value, { a: 1, b: 2 })
})

test('replaces a value, and nothing beside it', () => {
  assert.is(setJsonc('{"a":{"b":[1,\n2]},"c":3}', ['a', 'b'], 'x'), '{"a":{"b":"x"},"c":3}')
})

test('keeps line ends of Windows', () => {
  assert.is(setJsonc('{\r\n  "a": 1\r\n}\r\n', ['b'], { c: 1 }), '{\r\n  "a": 1,\r\n  "b": {\r\n    "c": 1\r\n  }\r\n}\r\n')
})

test('says where a file is no JSON, and that something else is in the way', () => {
  assert.throws(
    () => parseJsonc('{\n  "a": 1,,\n}'),
    (error: unknown) => error instanceof JsoncError && /line 2, column 10/.test(error.message),
  )
  assert.throws(
    () => setJsonc('{"a":[1]}', ['a', 'b'], 1),
    (error: unknown) => error instanceof JsoncError && /a is no object/.test(error.message),
  )
  for (const text of ['', '{', '[1', '{"a"}', '{a:1}', '{} {}', '"\n"', '01x']) assert.throws(() => parseJsonc(text), isRefusal)
})

test('reads what JSON.parse reads, and what it writes itself', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const plain = JSON.parse(JSON.stringify(value))
      assert.equal(parseJsonc(JSON.stringify(plain)).value, plain)
      assert.equal(JSON.parse(formatJson(plain)), plain)
    }),
  )
})

test('a value that was set is read again, and the others are as before', () => {
  const key = fc.constantFrom('a', 'b', 'c')
  const options = { noNullPrototype: true }
  const tree = fc.dictionary(key, fc.oneof(fc.integer(), fc.dictionary(key, fc.integer(), options)), options)
  fc.assert(
    fc.property(tree, key, fc.array(fc.integer()), fc.boolean(), (object, name, value, isTight) => {
      const text = setJsonc(isTight ? JSON.stringify(object) : formatJson(object), [name], value)
      assert.equal(parseJsonc(text).value, { ...object, [name]: value })
    }),
  )
})

function isRefusal(error: unknown): boolean {
  return error instanceof JsoncError
}

test.run()
