/** What is told of a client of UDP: its route, and the endpoint that its address chooses. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { explainer } from './support.ts'

const ask = await explainer(`import { defineConfig, udp, upstream } from 'sluice'
const dns = upstream('dns', { endpoints: ['10.0.0.5:53', '10.0.0.6:53'] })
export default defineConfig({
  listeners: {
    dns: udp({ listen: ':53', routes: [{ name: 'home', from: '10.0.0.0/8', to: dns }] }),
    quic: udp({ listen: ':443', routes: [{ sni: 'bank.test', to: '10.0.0.7:443' }] }),
  },
})`)
const told = async (url: string, from = '10.1.2.3') => {
  const { passed, wrong } = await ask({ url, from })
  return passed ?? wrong ?? 'it is explained'
}

test('a client goes to the same endpoint whoever asks, and elsewhere only where nobody listens', async () => {
  const text = await told('udp://:53')
  assert.match(
    text,
    /^dns is a UDP listener: dns\/home passes datagrams from 10\.1\.2\.3 on to dns, to 10\.0\.0\.[56]:53, and where nobody listens there, to 10\.0\.0\.[56]:53$/,
  )
  assert.is(await told('udp://resolver.test:53'), text)
  assert.is(
    await told('udp://:53', '192.0.2.1'),
    'dns is a UDP listener, and none of its routes takes datagrams from 192.0.2.1: they are dropped',
  )
})

test('the name in the URL is what a QUIC client asks for', async () => {
  assert.is(await told('udp://bank.test:443'), 'quic is a UDP listener: quic[0] passes QUIC for bank.test from 10.1.2.3 on to 10.0.0.7:443')
  assert.match(await told('udp://other.test:443'), /none of its routes takes QUIC for other\.test from 10\.1\.2\.3: they are dropped$/)
  assert.match(await told('udp://192.0.2.1:443'), /none of its routes takes what is no QUIC from 10\.1\.2\.3/)
  assert.is(await told('udp://bank.test:1'), 'no UDP listener listens on port 1')
})

test.run()
