import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { needsOf } from '../../core/sandbox/guest/needs.ts'
import { NEEDS_ALL, NEEDS_FIELDS, NEEDS_IP, NEEDS_METHOD, NEEDS_PATH, NEEDS_SEARCH } from '../../core/sandbox/wire.ts'

// biome-ignore lint/suspicious/noExplicitAny: a hook of any shape
type Hook = (...args: any[]) => unknown

const hooks = (object: Record<string, Hook>): Hook[] => Object.values(object)

test('what a plain hook does not mention is not needed', () => {
  const [set, get, path, both, arrow, none, spread] = hooks({
    set(res) {
      res.headers.set('a', 'b')
      res.status = 201
    },
    get(req) {
      return req.headers.get('a')
    },
    async path(req) {
      return `${req.path}${req?.ip}`
    },
    both(res, req) {
      res.headers.append('a', req.query.get('x') + req.method)
    },
    arrow: (req) => req.path,
    none() {},
    spread: async (req: { path: string }) => req.path,
  })
  assert.equal(needsOf(set!), [0, 0, 0])
  assert.equal(needsOf(get!), [NEEDS_FIELDS, 0, 0])
  assert.equal(needsOf(path!), [NEEDS_PATH | NEEDS_IP, 0, 0])
  assert.equal(needsOf(both!), [0, NEEDS_SEARCH | NEEDS_METHOD, 0])
  assert.equal(needsOf(arrow!), [NEEDS_PATH, 0, 0])
  assert.equal(needsOf(none!), [0, 0, 0])
  assert.equal(needsOf(spread!), [NEEDS_PATH, 0, 0])
})

test('whatever is not plain needs everything', () => {
  const all = hooks({
    passed(req) {
      JSON.stringify(req)
    },
    aliased(req) {
      const other = req
      return other.ip
    },
    computed(req) {
      const name = 'path'
      return req[name]
    },
    destructured({ path }) {
      return path
    },
    shorthand(req) {
      return { req }
    },
    byPrototype(req) {
      return req.constructor
    },
    byArguments(req) {
      // biome-ignore lint/complexity/noArguments: that is the case
      return [req.path, arguments[0]]
    },
    rest: (...all) => all,
    preset: (req = {}) => req,
    bound: ((req: { path: string }) => req.path).bind(null),
    escaped: new Function('req', 'return r\\u0065q.ip') as Hook,
  })
  for (const hook of all) assert.is(needsOf(hook)[0], NEEDS_ALL, hook.toString())
  assert.is(needsOf(new Function('req', 'return eval("re" + "q") ?? req.path') as Hook)[0], NEEDS_ALL)
})

test('of the third parameter only what is kept counts', () => {
  const [last, kept, passed] = hooks({
    last: (chunk, _req, body) => (body.last && body.type === 'text/html' ? chunk : undefined),
    kept(_chunk, _req, body) {
      body.state.rest = 1
    },
    passed(_chunk, _req, body) {
      JSON.stringify(body)
    },
  })
  assert.equal(
    [last, kept, passed].map((hook) => needsOf(hook!)[2]),
    [0, NEEDS_ALL, NEEDS_ALL],
  )
})

test('a list of headers kept in a variable needs the fields', () => {
  assert.equal(
    needsOf(((req) => {
      const { headers } = req
      return headers
    }) as Hook)[0],
    NEEDS_ALL,
  )
  assert.equal(
    needsOf(((req) => {
      const headers = req.headers
      return headers
    }) as Hook)[0],
    NEEDS_FIELDS,
  )
})

test.run()
