/** What `sluice status` prints: a table that a person reads at a glance, whatever the proxy left out. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { describeSeconds, formatStatus } from '../../core/cli/status.ts'

const now = new Date('2026-01-02T12:00:00Z')

test('everything that is known has its line', () => {
  const text = formatStatus(
    {
      ...{ state: 'ready', pid: 7, version: '1.0.0', runtime: 'v26.9.0', config: '/srv/proxy.config.ts', generation: 3 },
      ...{ loadedAt: '2026-01-02T11:58:00Z', uptimeSeconds: 90_061, memoryBytes: 104_857_600, connections: 12 },
      lastReload: { at: '2026-01-02T11:59:50Z', ok: true, text: 'live in 41 ms' },
      listeners: ['web http://0.0.0.0:8080', 'edge 0.0.0.0:8443'],
      plugins: ['geo (sluice-plugin-geo 2.1.0)', 'seen'],
      kv: [
        { plugin: 'geo', bytes: 1_300_000, maxBytes: 16_777_216, keys: 320, evictions: 0 },
        { plugin: 'seen', bytes: 262_000, maxBytes: 262_144, keys: 1, evictions: 7 },
      ],
      stores: ['redis://10.0.0.1:6379 is away in 2 of 2 workers'],
      workers: [{ slot: 0, pid: 8, live: true, connections: 12, memoryBytes: 73_400_320, uptimeSeconds: 61, sockets: 'io_uring' }],
    },
    now,
  )
  assert.is(
    text,
    `state        ready, up 1 d 1 h
pid          7 (supervisor, 100 MB)
version      1.0.0 on Node.js v26.9.0
config       /srv/proxy.config.ts
generation   3, loaded 2 min ago
last reload  live in 41 ms, 10 s ago
connections  12
listeners    web http://0.0.0.0:8080
             edge 0.0.0.0:8443
plugins      geo (sluice-plugin-geo 2.1.0)
             seen
kv           geo keeps 320 keys, 1.2 of 16 MB
             seen keeps 1 key, 0.2 of 0.3 MB; 7 had to go for others
stores       redis://10.0.0.1:6379 is away in 2 of 2 workers

worker  pid  state  connections  memory  up         sockets by
0       8    live   12           70 MB   1 min 1 s  io_uring
`,
  )
})

test('a reload that failed is told with its problem', () => {
  const frame = 'proxy.config.ts:8:11: error: unknown key\n> 8 |'
  const text = formatStatus({ state: 'ready', lastReload: { at: '2026-01-02T11:00:00Z', ok: false, text: frame } }, now)
  assert.match(text, /^last reload +failed: the config before it runs on, 1 h ago$/m)
  assert.ok(text.endsWith(`\n\n${frame}\n`))
})

test('a proxy that says nothing of itself is printed all the same', () => {
  assert.match(formatStatus({}, now), /^state +unknown\npid +\?\n/)
})

test('a time is told by its two largest units', () => {
  const cases = [
    [-1, '0 s'],
    [0, '0 s'],
    [59.9, '59 s'],
    [60, '1 min'],
    [3_605, '1 h'],
    [3_661, '1 h 1 min'],
    [86_400 * 400, '400 d'],
    [Number.NaN, '?'],
  ] as const
  for (const [seconds, text] of cases) assert.is(describeSeconds(seconds), text)
})

test.run()
