import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { compilePath } from '../../core/route/pattern.ts'
import { expand, isHostFixed, templateNames } from '../../core/route/template.ts'

test('names are filled in and the query is kept', () => {
  assert.is(expand('/new/*', { '*': 'a/b' }, '?q=1'), '/new/a/b?q=1')
  assert.is(expand('/new/*', { '*': '' }, ''), '/new/')
  assert.is(expand('/u/:id/x', { id: '7' }, ''), '/u/7/x')
  assert.is(expand('https://x.example/:id', { id: '7' }, '?a'), 'https://x.example/7?a')
  assert.is(expand('/plain', null, '?a=1'), '/plain?a=1')
})

test('a query of the template comes first, a fragment last', () => {
  assert.is(expand('/s?id=:id', { id: 'a&b' }, '?q=1'), '/s?id=a%26b&q=1')
  assert.is(expand('/s?a', null, ''), '/s?a')
  assert.is(expand('/s#top', null, '?q'), '/s?q#top')
})

test('a port is not a name', () => {
  assert.is(expand('http://127.0.0.1:8080/*', { '*': 'x', 8080: 'evil' }, ''), 'http://127.0.0.1:8080/x')
  assert.equal(templateNames('https://:tenant.example.com:8080/:id/*/:0'), ['tenant', 'id', '*', '0'])
})

test('what is filled in stays on this host', () => {
  assert.is(expand('/*', { '*': '/evil.com' }, ''), '/evil.com')
  assert.is(expand('/*', { '*': '\\evil.com' }, ''), '/%5Cevil.com')
  assert.is(expand(':rest', { rest: '//evil.com' }, ''), '/evil.com')
  assert.is(expand('https://:t.example.com/', { t: 'evil.com/' }, ''), 'https://evil.com%2F.example.com/')
  assert.is(expand('https://:t.example.com/', { t: 'a@evil.com:1#' }, ''), 'https://a%40evil.com%3A1%23.example.com/')
})

test('a request chooses no more of a host than its first labels', () => {
  for (const template of ['/a', 'https://x.y/*', 'https://:t.x.y/*', 'https://a-:t.x:80/', 'https://x:8080'])
    assert.ok(isHostFixed(template), template)
  for (const template of ['https://:h', 'https://:h/*', 'https://x.:h', 'https://x.y*', 'https://*.x.y/', '//:h/x', 'https://:h:80/'])
    assert.not(isHostFixed(template), template)
})

test('no line can be broken, no query begun', () => {
  assert.is(expand('/:a', { a: 'x\r\nset-cookie: y' }, ''), '/x%0D%0Aset-cookie:%20y')
  assert.is(expand('/:a', { a: 'x?y#z' }, '?q\n#'), '/x%3Fy%23z?q%0A%23')
})

test('whatever the path was, a redirect by /* stays on the host', () => {
  const [matcher] = compilePath('/old*')
  const tail = fc.string({
    unit: fc.constantFrom('/', '\\', '.', 'e', '%', '?', '#', '@', ':', '\r', '\n', '\t', ' ', '\xff'),
    maxLength: 12,
  })
  fc.assert(
    fc.property(tail, fc.constantFrom('/*', '//*', '/x/*', '*'), (rest, template) => {
      fc.pre(template !== '//*')
      const params = matcher!.capture(`/old${rest}`)
      const location = expand(template, params, '')
      fc.pre(template !== '*' || rest.startsWith('/'))
      assert.is(new URL(location, 'http://here.example/').host, 'here.example', JSON.stringify(location))
      assert.match(location, /^[\x21-\x7e]*$/)
    }),
    { numRuns: 2000 },
  )
})

test.run()
