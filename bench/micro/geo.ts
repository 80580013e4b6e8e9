/**
 * What a table of networks costs inside of the sandbox: to load a hundred thousand of them, and to look an address up.
 *
 *     node --no-node-snapshot --no-concurrent-osr bench/micro/geo.ts
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundlePlugin } from '../../core/sandbox/bundle.ts'
import { Sandbox } from '../../core/sandbox/sandbox.ts'

const NETWORKS = 100_000
const LOOK_UPS = 100_000

const guest = `import { definePlugin } from 'sluice/plugin'
import { GeoTable } from ${JSON.stringify(fileURLToPath(new URL('../../plugins/geo-route/table.ts', import.meta.url)))}

export default definePlugin({
  name: 'geo-bench',
  setup({ text, addresses }: { text: string; addresses: string[] }) {
    let began = Date.now()
    const table = new GeoTable(text)
    console.log(\`\${table.networks} networks loaded in \${Date.now() - began} ms\`)
    let found = 0
    for (let round = 0; round < 2; round++) {
      found = 0
      began = Date.now()
      for (let i = 0; i < ${LOOK_UPS}; i++) if (table.find(addresses[i % addresses.length]!) !== null) found++
    }
    console.log(\`\${Math.round(((Date.now() - began) * 1e6) / ${LOOK_UPS})} ns a look-up, \${found} of ${LOOK_UPS} found\`)
    return { onRequest() {} }
  },
})
`

const lines: string[] = []
for (let i = 0; i < NETWORKS / 2; i++) {
  lines.push(`${1 + (i >> 8)}.${i & 255}.${(i * 7) & 255}.0/${20 + (i % 5)},C${i % 250}`)
  lines.push(`2a${(i >> 12).toString(16).padStart(2, '0')}:${(i & 4095).toString(16)}::/${32 + (i % 17)},C${i % 250}`)
}
const addresses: string[] = []
for (let i = 0; i < 4096; i++) {
  addresses.push(
    i % 2 === 0
      ? `${1 + ((i * 31) % 195)}.${(i * 17) & 255}.${(i * 7) & 255}.9`
      : `2a0${i % 10}:${((i * 37) & 4095).toString(16)}::${i.toString(16)}`,
  )
}

const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'))
const quiet = (): void => undefined
const sandbox = new Sandbox({
  observer: {
    connectionOpened: quiet,
    connectionClosed: quiet,
    exchangeEnded: quiet,
    tunnelEnded: quiet,
    datagramDropped: quiet,
    dialled: quiet,
    upstreamClosed: quiet,
    queued: quiet,
    upstreamChanged: quiet,
    retryRefused: quiet,
    mirrored: quiet,
    buffered: quiet,
    hedged: quiet,
    limitMoved: quiet,
    handshakeFailed: quiet,
    pluginCalled: quiet,
    pluginFailed: (_plugin, why, detail) => console.error(why, detail),
    pluginLogged: (_plugin, _level, text) => console.log(text),
  },
})
try {
  const file = join(folder, 'plugin.ts')
  writeFileSync(file, guest)
  const use = {
    key: 'bench',
    grant: [],
    timeoutMs: 50,
    deadlineMs: 1000,
    memoryMb: 64,
    kvBytes: null,
    isolation: 'worker',
    onFailure: 'deny',
  } as const
  await sandbox.load([{ ...use, source: await bundlePlugin(file), options: { text: lines.join('\n'), addresses } }])
  await new Promise((resolve) => setTimeout(resolve, 100))
} finally {
  sandbox.close()
  rmSync(folder, { recursive: true })
}
