/** Who may reach what through the forward side: plain values in, a code and a sentence out. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Access, type AccessRules, type Use } from '../../core/forward/access.ts'
import { makeGuard } from '../../core/forward/guard.ts'
import { CidrSet } from '../../core/net/cidr.ts'
import { parseDestination } from '../../core/net/destination.ts'

const guard = makeGuard({ opened: null, isOwn: () => false, listens: () => false })

function access(rules: Partial<AccessRules> = {}): Access {
  return new Access({ clients: null, hosts: null, ports: new Set([443]), ...rules })
}

function refusal(authority: string, use: Use = 'tunnel', rules: Partial<AccessRules> = {}): string | null {
  return access(rules).refuseDestination(parseDestination(authority, null)!, use, guard)?.code ?? null
}

test('tunnels reach port 443 alone, until allow.ports says otherwise', () => {
  assert.is(refusal('example.com:443'), null)
  for (const port of [1, 22, 25, 80, 8443, 65535]) assert.is(refusal(`example.com:${port}`), 'port_refused')
  assert.is(refusal('example.com:8443', 'tunnel', { ports: new Set([8443]) }), null)
  assert.is(refusal('example.com:443', 'tunnel', { ports: new Set([8443]) }), 'port_refused')
})

test('plain HTTP reaches every port but those of other protocols, until allow.ports names them', () => {
  for (const port of [80, 8080, 3000, 443]) assert.is(refusal(`example.com:${port}`, 'http'), null)
  for (const port of [22, 25, 6667]) assert.is(refusal(`example.com:${port}`, 'http'), 'port_refused')
  assert.is(refusal('example.com:25', 'http', { ports: new Set([25]) }), null)
})

test('allow.hosts is all that is reached, whatever its case and the dot of the root', () => {
  const hosts = ['example.com', '*.example.org', '192.0.2.1', '127.0.0.1']
  for (const host of ['example.com', 'EXAMPLE.com.', 'a.example.org', 'a.b.example.org.', '192.0.2.1', '[::ffff:192.0.2.1]'])
    assert.is(refusal(`${host}:443`, 'tunnel', { hosts }), null, host)
  for (const host of ['example.org', 'badexample.com', 'example.com.evil.test', 'a.example.com', '192.0.2.2'])
    assert.is(refusal(`${host}:443`, 'tunnel', { hosts }), 'host_refused', host)
  assert.is(refusal('127.0.0.1:443', 'tunnel', { hosts }), null, 'an address that is listed is meant')
})

test('addresses are refused by the guard before anything is dialled', () => {
  for (const host of ['127.0.0.1', '[::1]', '[::ffff:7f00:1]', '169.254.169.254', '[64:ff9b::7f00:1]', '0.0.0.0'])
    assert.is(refusal(`${host}:443`), 'address_refused', host)
})

test('clients outside allow.clients are refused; who comes by a unix socket is not', () => {
  const rules = access({ clients: new CidrSet(['10.0.0.0/8']) })
  assert.is(rules.refuseClient('10.1.2.3'), null)
  assert.is(rules.refuseClient('::ffff:10.1.2.3'), null)
  assert.is(rules.refuseClient(''), null)
  assert.equal(rules.refuseClient('192.0.2.1'), { code: 'client_refused', detail: '192.0.2.1 is not in allow.clients' })
  assert.is(access().refuseClient('192.0.2.1'), null)
})

test.run()
