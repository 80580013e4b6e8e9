/** The file is run as browsers run it, with the functions that they give to it. */
import { createContext, runInContext } from 'node:vm'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { writePac, wrongException } from '../../core/forward/pac.ts'
import { parseIpv4 } from '../../core/net/address.ts'
import { CidrSet } from '../../core/net/cidr.ts'
import { makeDestination } from '../../core/net/destination.ts'

function pacOf(except: readonly string[], proxy = 'proxy.test'): (host: string) => string {
  const context = createContext({
    isPlainHostName: (host: string) => !host.includes('.') && !host.includes(':'),
    dnsDomainIs: (host: string, domain: string) => host.endsWith(domain),
    isInNet: (host: string, network: string, mask: string) => {
      const bits = parseIpv4(mask).toString(2).replaceAll('0', '').length
      return new CidrSet([`${network}/${bits}`]).has(host)
    },
  })
  runInContext(writePac(makeDestination(proxy, 3128)!, { except }), context)
  return (host) => runInContext(`FindProxyForURL(${JSON.stringify(`http://${host}/`)}, ${JSON.stringify(host)})`, context)
}

test('everything goes by the proxy but the machine itself, plain names, and what is left out', () => {
  const find = pacOf(['intra.test', '*.corp.test', '10.0.0.0/8', '192.0.2.7', '2001:db8::1', '100.64.0.0/10'])
  for (const host of [
    'example.com',
    'xcorp.test',
    'corp.test',
    'a.intra.test',
    '11.0.0.1',
    '192.0.2.8',
    '10.example.com',
    '100.128.0.1',
    '[2001:db8::2]',
  ])
    assert.is(find(host), 'PROXY proxy.test:3128', host)
  for (const host of [
    ...['localhost', 'a.localhost', '127.0.0.1', '127.9.9.9', '[::1]', '::1', 'printer'],
    ...['intra.test', 'INTRA.test.', 'a.corp.test', 'a.b.corp.test', '10.1.2.3', '192.0.2.7', '[2001:db8::1]', '100.127.0.1'],
  ])
    assert.is(find(host), 'DIRECT', host)
})

test('a proxy by its address, and a network of everything', () => {
  assert.is(pacOf([], '::1')('example.com'), 'PROXY [::1]:3128')
  assert.is(pacOf(['0.0.0.0/0'])('8.8.8.8'), 'DIRECT')
  assert.is(pacOf(['8.8.8.8/32'])('8.8.8.9'), 'PROXY proxy.test:3128')
})

test('what cannot be told to browsers is found', () => {
  for (const right of ['a.test', '*.a.test', 'intranet', '10.0.0.0/8', '::1', '192.0.2.1']) assert.is(wrongException(right), null, right)
  for (const wrong of ['', '"', 'a b', '*.*.a', '10.0.0.0/33', 'fd00::/8', 'x/8', '*', 'a"+alert()+".test'])
    assert.type(wrongException(wrong), 'string', wrong)
})

test.run()
