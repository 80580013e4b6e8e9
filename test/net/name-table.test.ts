/** RFC 9525 §6.3: the star of a certificate stands for exactly one label, the leftmost. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { NameTable } from '../../core/net/name-table.ts'

const table = new NameTable<string>()
for (const name of ['example.com', '*.example.com', 'api.example.com', '*.test']) table.set(name, name)

test('an exact name comes before a wildcard, whatever came first', () => {
  assert.is(table.find('api.example.com'), 'api.example.com')
  assert.is(table.find('www.example.com'), '*.example.com')
  assert.is(table.find('example.com'), 'example.com')
})

test('a star is one label: not none, and not two', () => {
  assert.is(table.find('a.b.example.com'), null)
  assert.is(table.find('test'), null)
  assert.is(table.find('.test'), null)
  assert.is(table.find('a.test'), '*.test')
})

test('the dot of the root is no difference; another name is', () => {
  assert.is(table.find('api.example.com.'), 'api.example.com')
  assert.is(table.find('example.org'), null)
  assert.is(table.find(''), null)
})

test.run()
