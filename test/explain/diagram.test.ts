/**
 * The drawings of `sluice explain --diagram`, each as it is printed (diagrams.txt), and what holds for all of them. After a change that
 * is meant: `SLUICE_UPDATE=1` writes the file anew, to be looked at.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { formatExplanation } from '../../core/explain/format.ts'
import { ladder, type Step } from '../../core/explain/ladder.ts'
import { certificates } from '../support/certificates.ts'
import { explainer } from './support.ts'

const golden = join(import.meta.dirname, 'diagrams.txt')
const tls = certificates === null ? 'undefined' : JSON.stringify({ cert: certificates.server.certFile, key: certificates.server.keyFile })
const ask = await explainer(`import { defineConfig, forward, ftp, http, respond, socks, tcp, udp, upstream } from 'sluice'
const bank = upstream('bank', { endpoints: ['10.0.0.5:443'], proxyProtocol: 2 })
const mq = upstream('mq', { endpoints: ['10.0.0.9:5672'] })
const anew = upstream('anew', { endpoints: ['10.0.0.10:443'], tls: true })
const tls = ${tls}
export default defineConfig({
  listeners: {
    edge: tcp({ listen: ':8443', routes: [
      { name: 'bank', sni: 'bank.test', to: bank },
      { name: 'mq', sni: 'mq.test', tls, to: mq },
      { name: 'anew', sni: 'anew.test', tls, to: anew },
      { name: 'web', sni: 'web.test', tls, to: http({ routes: [{ to: mq }] }) },
    ] }),
    mail: tcp({ listen: ':25', proxyProtocol: 'require', trust: '10.0.0.0/8', routes: [{ to: mq }] }),
    files: tcp({ listen: ':21', gateway: ftp(), routes: [{ to: mq }] }),
    web: http({ listen: ':8080', routes: [{ path: '/a', respond: respond(200, 'a') }, { path: '/b', to: mq }, { to: mq }] }),
    secure: http({ listen: ':9443', tls, routes: [{ to: anew }] }),
    out: forward({ listen: '127.0.0.1:3128' }),
    s: socks({ listen: '127.0.0.1:1080', udp: true, proxyProtocol: 'require', trust: '127.0.0.1' }),
    both: forward({ listen: '127.0.0.1:3129', socks: true }),
    dns: udp({ listen: ':53', routes: [{ to: '10.0.0.53:53' }] }),
    quic: udp({ listen: ':443', routes: [{ sni: 'bank.test', to: '10.0.0.5:443' }] }),
  },
})`)

const draw = async (listener: string | null): Promise<string> => formatExplanation(await ask({ diagram: true, listener }), { color: false })

// Without openssl there is no certificate to end TLS with.
if (certificates !== null)
  test('each way in is drawn, and what is the same once', async () => {
    const drawn = await draw(null)
    if (process.env.SLUICE_UPDATE === '1') writeFileSync(golden, drawn)
    assert.fixture(drawn, readFileSync(golden, 'utf8'))
    for (const line of drawn.split('\n')) assert.ok([...line].length <= 80, line)
  })

test('one listener alone, and one that is not there', async () => {
  const mail = await draw('mail')
  assert.match(mail, /^mail {2}:25\n\n {2}L4 passthrough: not one byte is decrypted\n {2}mail\[0\]\n/)
  assert.not.match(mail, 'hello')
  assert.match(await draw('nobody'), /^there is no listener nobody; there are edge, mail,/)
})

test('no text makes a ladder wider, or its lines crooked', () => {
  const text = fc.string({ maxLength: 200, size: 'max', unit: fc.constantFrom('a', 'b', ' ', '.') })
  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.record({ kind: fc.constant('note' as const), text }),
    fc.record({ kind: fc.constant('through' as const), text }),
    fc.record({
      ...{ kind: fc.constant('say' as const), text },
      ...{
        side: fc.constantFrom('client' as const, 'endpoint' as const),
        to: fc.constantFrom('left' as const, 'right' as const, 'both' as const),
      },
    }),
  )
  fc.assert(
    fc.property(text, fc.array(step, { maxLength: 6 }), (endpoint, steps) => {
      const [head, ...lines] = ladder(endpoint, steps)
      assert.ok(head!.length <= 80)
      for (const line of lines) assert.is(line.length, 75, line)
    }),
  )
})

test.run()
