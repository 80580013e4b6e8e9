/** A dial with a guard: it is asked about the addresses that a name has now, and one of those it lets through is dialled, no other. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type DialOptions, dial } from '../../core/upstream/dial.ts'
import { DnsCache } from '../../core/upstream/dns.ts'
import { startOrigin } from '../support/origin.ts'

interface Answer {
  readonly error: string | null
  readonly detail: string | null
}

function dialled(options: Partial<DialOptions> & Pick<DialOptions, 'target'>): Promise<Answer> {
  return new Promise((resolve) => {
    dial({ tls: null, header: null, dns: new DnsCache(), ...options }, (wire, error, detail) => {
      wire?.destroy()
      resolve({ error, detail })
    })
  })
}

test('a name all of whose addresses are refused is not dialled', async () => {
  await using origin = await startOrigin()
  const asked: string[] = []
  const answer = await dialled({
    target: { kind: 'name', host: 'localhost', port: origin.port },
    guard(address) {
      asked.push(address)
      return `${address} is loopback`
    },
  })
  assert.equal(answer, { error: 'address_refused', detail: '127.0.0.1 is loopback' })
  assert.equal([...new Set(asked)], ['127.0.0.1', '::1'])
  assert.is(origin.connections.length, 0)
})

test('of several addresses only those let through are tried', async () => {
  await using origin = await startOrigin()
  const target = { kind: 'name', host: 'localhost', port: origin.port } as const
  assert.is((await dialled({ target, guard: (address) => (address === '::1' ? 'no' : null) })).error, null)
  const onlyV6 = await dialled({ target, guard: (address) => (address === '127.0.0.1' ? 'no' : null) })
  assert.is.not(onlyV6.error, null, 'nothing listens on ::1, and 127.0.0.1 was not let through')
  assert.is(origin.connections.length, 1)
})

test.run()
