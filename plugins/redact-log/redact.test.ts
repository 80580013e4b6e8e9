import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { plain, type Rules, readPattern, redactPath, redactQuery, redactUrl, SECRET_PARAMETERS, truncateAddress } from './redact.ts'

const rules: Rules = {
  mask: 'X',
  query: 'listed',
  tokens: true,
  names: new Set(SECRET_PARAMETERS.map(plain)),
  paths: ['/reset/:token', '/users/*/key/:key', '/share/**'].map(readPattern),
}
const JWT = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl'

test('values of secret parameters are masked, however their names are written', () => {
  const queries: Readonly<Record<string, string>> = {
    '': '',
    '?': '?',
    '?page=2&q=code': '?page=2&q=code',
    '?token=abc&page=2': '?token=X&page=2',
    '?accessToken=a&access-token=b&ACCESS_TOKEN=c': '?accessToken=X&access-token=X&ACCESS_TOKEN=X',
    '?%74oken=a&%2574oken=b': '?%74oken=X&%2574oken=X',
    '?user[password]=a&login.pwd=b&token[]=c&password[0]=d': '?user[password]=X&login.pwd=X&token[]=X&password[0]=X',
    '?a=1;token=b': '?a=1;token=X',
    '?%zz=1': '?%zz=X',
    '?token=a=b&token=': '?token=X&token=',
    '?token': '?token',
    [`?${JWT}`]: '?X',
    [`?next=/a%3Fjwt%3D${JWT}`]: '?next=X',
    '?id=f47ac10b-58cc-4372-a567-0e02b2c3d479': '?id=f47ac10b-58cc-4372-a567-0e02b2c3d479',
    '?id=d41d8cd98f00b204e9800998ecf8427e': '?id=X',
  }
  for (const [query, wanted] of Object.entries(queries)) assert.is(redactQuery(query, rules), wanted, query)
})

test('all values, or no query at all', () => {
  assert.is(redactQuery('?a=1&b&c=', { ...rules, query: 'all' }), '?a=X&X&c=')
  assert.is(redactQuery('?a=1', { ...rules, query: 'drop' }), '')
})

test('segments of paths are masked by pattern, and wherever a token stands', () => {
  const paths: Readonly<Record<string, string>> = {
    '/': '/',
    '/a/b': '/a/b',
    '/reset/abc': '/reset/X',
    '/%72eset/abc': '/%72eset/X',
    '/reset/abc/more': '/reset/abc/more',
    '/users/7/key/k': '/users/7/key/X',
    '/share/a/b': '/share/X/X',
    '/share': '/share',
    [`/in/${JWT}`]: '/in/X',
    '/a;jsessionid=123/b;v=1': '/a;jsessionid=X/b;v=1',
    '*': '*',
    nonsense: 'X',
  }
  for (const [path, wanted] of Object.entries(paths)) assert.is(redactPath(path, rules), wanted, path)
})

test('a referrer loses its secrets, its userinfo and its fragment', () => {
  assert.is(redactUrl('https://ann:pw@example.com:8443/reset/abc?code=1&x=2#token=3', rules), 'https://example.com:8443/reset/X?code=X&x=2')
  assert.is(redactUrl('/reset/abc?code=1', rules), '/reset/X?code=X')
  assert.is(redactUrl('not a url', rules), 'X')
})

test('addresses are cut to their network', () => {
  const cut = (ip: string, v4 = 24, v6 = 48) => truncateAddress(ip, { v4, v6 }, 'X')
  assert.is(cut('192.0.2.77'), '192.0.2.0')
  assert.is(cut('192.0.2.77', 32), '192.0.2.77')
  assert.is(cut('192.0.2.77', 0), '0.0.0.0')
  assert.is(cut('::ffff:192.0.2.77'), '192.0.2.0')
  assert.is(cut('2001:db8:1:2:3::4'), '2001:db8:1::')
  assert.is(cut('2001:db8:1ff::', 24, 40), '2001:db8:100::')
  assert.is(cut('2001:db8::1', 24, 128), '2001:db8:0:0:0:0:0:1')
  assert.is(cut('2001:db8::1', 24, 0), '::')
  assert.is(cut('unix'), 'X')
})

test('no value of a secret parameter is ever left, whatever stands around it', () => {
  const noise = fc.string({ unit: fc.constantFrom(...'ab%2=&;/[].?#+é') })
  fc.assert(
    fc.property(noise, fc.constantFrom(...SECRET_PARAMETERS), noise, (before, name, after) => {
      const query = `?${before}&${name}=hidden-value&${after}`
      assert.not(redactQuery(query, rules).includes('hidden-value'), query)
    }),
  )
})

test.run()
