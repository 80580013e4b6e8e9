/** Which hooks of the log the tunnels and sessions of each listener have. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Hook, makeHook } from '../../core/hooks.ts'
import { type Config, defineConfig, forward, http, socks, tcp, udp } from '../../core/index.ts'
import { compilePlan } from '../../core/plan/compile.ts'
import type { Plan } from '../../core/plan/plan.ts'

const onLog = () => undefined
const to = '127.0.0.1:1'

const config = defineConfig({
  use: [{ onLog }, { onRequest: () => undefined }],
  listeners: {
    edge: tcp({
      listen: ':1',
      use: [{ onLog }],
      routes: [{ name: 'a', sni: 'a.test', use: [{ onLog }], to }, { to }, { sni: 'w', to: http({ routes: [{ to }] }) }],
    }),
    dns: udp({ listen: ':2', routes: [{ to }] }),
    s: socks({ listen: '127.0.0.1:3' }),
    out: forward({ listen: '127.0.0.1:4', socks: true, use: [{ onLog }] }),
  },
}) as Config

test('those of the whole config, of the listener and of the route, each where it stands', () => {
  const { listeners } = compile((key) => makeHook(key, key === 'use[1]' ? {} : { onLog: () => null }))
  const [edge, dns, s, out] = listeners
  assert.equal([namesOf(edge), namesOf(dns), namesOf(s)], [['use[0]', 'edge/use[0]'], ['use[0]'], ['use[0]']])
  assert.ok(edge!.kind === 'tcp' && dns!.kind === 'udp' && out!.kind === 'http')
  assert.equal(edge!.routes.routes.map(namesOf), [
    ['use[0]', 'edge/use[0]', 'edge/a/use[0]'],
    ['use[0]', 'edge/use[0]'],
    ['use[0]', 'edge/use[0]'],
  ])
  assert.equal(dns!.routes.routes.map(namesOf), [['use[0]']])
  assert.equal(namesOf(out!.socks), ['use[0]', 'out/use[0]'])
})

test('a plugin that is for some requests alone is not asked, and without any there is no list', () => {
  const { listeners } = compile((key) => makeHook(key, { onLog: () => null, matches: ({ path }) => path.startsWith('/api') }))
  assert.equal(listeners.map(namesOf).slice(0, 3), [[], [], []])
})

test.run()

function compile(bind: (key: string) => Hook): Plan {
  return compilePlan(config, { generation: 1, folder: '/', bindUse: (_, key) => bind(key) })
}

function namesOf(plan: object | null | undefined): string[] {
  const { logHooks } = plan as { readonly logHooks?: readonly Hook[] | null }
  return (logHooks ?? []).map(({ name }) => name)
}
