import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { constantEdits } from '../../core/sandbox/guest/constant.ts'
import { OP_APPEND, OP_DELETE, OP_SET } from '../../core/sandbox/wire.ts'

// biome-ignore lint/suspicious/noExplicitAny: a hook of any shape
type Hook = (...args: any[]) => unknown
const hooks = (object: Record<string, Hook>): Hook[] => Object.values(object)

test('a hook of nothing but texts that are written out is told by its edits', () => {
  const [method, arrow, alone, second, spaced] = hooks({
    method(res) {
      res.headers.set('a', 'b')
      res.headers.append('c', "it's")
      res.headers.delete('d')
    },
    arrow: (res) => res.headers.set('a', ''),
    alone: (res) => {
      res.headers.set('a', 'b c; d')
    },
    second(res, _req) {
      res.headers.delete('x')
    },
    spaced: new Function('res', '  res.headers.set( "a" , \'b\' ) ; res.headers.set("a","c")') as Hook,
  })
  assert.equal(constantEdits(method!), [OP_SET, 'a', 'b', OP_APPEND, 'c', "it's", OP_DELETE, 'd', ''])
  assert.equal(constantEdits(arrow!), [OP_SET, 'a', ''])
  assert.equal(constantEdits(alone!), [OP_SET, 'a', 'b c; d'])
  assert.equal(constantEdits(second!), [OP_DELETE, 'x', ''])
  assert.equal(constantEdits(spaced!), [OP_SET, 'a', 'b', OP_SET, 'a', 'c'])
})

test('whatever else a hook might do, it has to be run', () => {
  const seen = 1
  const other = { headers: { set(_name: string, _value: string) {} } }
  const all = hooks({
    empty() {},
    async asynchronous(res) {
      res.headers.set('a', 'b')
    },
    returns(res) {
      return res.headers.set('a', 'b')
    },
    condition(res) {
      if (seen) res.headers.set('a', 'b')
    },
    computed(res) {
      res.headers.set('a', `${seen}`)
    },
    template(res) {
      res.headers.set('a', `b`)
    },
    reads(res) {
      res.headers.set('a', 'b').x
    },
    ofAnother(_res) {
      other.headers.set('a', 'b')
    },
    escaped(res) {
      res.headers.set('a', 'b\\n')
    },
    three(res) {
      res.headers.set('a', 'b', 'c')
    },
    one(res) {
      res.headers.set('a')
    },
    two(res) {
      res.headers.delete('a', 'b')
    },
    comma: new Function('res', 'res.headers.set("a", "b"), 5') as Hook,
    status(res) {
      res.headers.set('a', 'b')
      res.status = 500
    },
    preset: (res = other) => res.headers.set('a', 'b'),
    bound: ((res: typeof other) => res.headers.set('a', 'b')).bind(null),
  })
  for (const hook of all) assert.is(constantEdits(hook), null, hook.toString())
})

test.run()
