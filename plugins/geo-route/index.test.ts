import { BlockList } from 'node:net'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { simulate, simulatePlugin } from '../../core/testing.ts'
import { config, write } from '../../test/testing/support.ts'
import { GeoTable } from './table.ts'

const plugin = new URL('./index.ts', import.meta.url)
const TABLE = `# networks of documentation
192.0.2.0/24,DE
192.0.2.128/25,FR
"192.0.2.200","US"
198.51.100.0/24,FR

2001:db8::/32,DE
2001:db8:1::/48,US
`

test('the longest prefix wins, wherever it stands in the table', () => {
  for (const text of [TABLE, TABLE.split('\n').reverse().join('\n')]) {
    const table = new GeoTable(text)
    const found = [
      '192.0.2.1',
      '192.0.2.127',
      '192.0.2.128',
      '192.0.2.200',
      '192.0.2.201',
      '192.0.3.0',
      '192.0.1.255',
      '::ffff:198.51.100.9',
    ]
    assert.equal(
      found.map((ip) => table.find(ip)),
      ['DE', 'DE', 'FR', 'US', 'FR', null, null, 'FR'],
    )
    const found6 = ['2001:db8::1', '2001:db8:1::', '2001:db8:1:ffff:ffff:ffff:ffff:ffff', '2001:db8:2::', '2001:db9::', '::1', 'nonsense']
    assert.equal(
      found6.map((ip) => table.find(ip)),
      ['DE', 'US', 'US', 'DE', null, null, null],
    )
  }
})

test('the ends of both address spaces are inside', () => {
  const table = new GeoTable('0.0.0.0/0,ALL\n255.255.255.255/32,LAST\n::/0,ALL6\nffff::/16,LAST6')
  const found = ['0.0.0.0', '255.255.255.254', '255.255.255.255', '::', 'fffe::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff']
  assert.equal(
    found.map((ip) => table.find(ip)),
    ['ALL', 'ALL', 'LAST', 'ALL6', 'ALL6', 'LAST6'],
  )
})

const byte = fc.integer({ min: 0, max: 3 })
const v4 = fc.tuple(fc.constant(10), byte, byte, fc.nat(255)).map((parts) => parts.join('.'))
const v6 = fc.tuple(byte, byte, byte, byte).map(([a, b, c, d]) => `2001:db8:${a}:${b}::${c}:${d}`)
const lines = fc.array(fc.oneof(fc.tuple(v4, fc.integer({ min: 6, max: 32 })), fc.tuple(v6, fc.integer({ min: 30, max: 128 }))), {
  maxLength: 30,
})

test('finds what looking at every network finds', () => {
  fc.assert(
    fc.property(lines, fc.array(fc.oneof(v4, v6), { minLength: 1, maxLength: 20 }), (networks, addresses) => {
      const table = new GeoTable(networks.map(([ip, bits], i) => `${ip}/${bits},N${i}`).join('\n'))
      for (const address of addresses) {
        const family = address.includes(':') ? 'ipv6' : 'ipv4'
        let best: string | null = null
        let bestBits = -1
        for (const [i, [ip, bits]] of networks.entries()) {
          if (ip.includes(':') !== (family === 'ipv6') || bits < bestBits) continue
          const list = new BlockList()
          list.addSubnet(ip, bits, family)
          if (list.check(address, family)) [best, bestBits] = [`N${i}`, bits]
        }
        assert.is(table.find(address), best, address)
      }
    }),
    { numRuns: 300 },
  )
})

test('a line that is not valid is named', () => {
  for (const line of [
    '192.0.2.0/33,DE',
    '192.0.2.0/24',
    '192.0.2/24,DE',
    '1:2:3/24,DE',
    '192.0.2.0/24,D E',
    '192.0.02.0/24,DE',
    ':::/1,DE',
  ])
    assert.throws(() => new GeoTable(`192.0.2.0/24,DE\n${line}`), /^line 2 of the table is not valid/, line)
})

test('the endpoint is told, and no client tells it', async () => {
  await using proxy = await simulatePlugin(plugin, { timeout: '1s', options: { table: TABLE } })
  const geo = async (from: string) => (await proxy.fetch('/', { from, headers: { 'x-geo': 'forged' } })).sent?.headers.get('x-geo')
  assert.is(await geo('192.0.2.1'), 'DE')
  assert.is(await geo('2001:db8:1::9'), 'US')
  assert.is(await geo('203.0.113.1'), null)
})

test('denies by code, and lets only some in', async () => {
  await using denying = await simulatePlugin(plugin, { timeout: '1s', options: { table: TABLE, deny: ['FR', 'unknown'], status: 451 } })
  const status = async (proxy: typeof denying, from: string) => (await proxy.fetch('/', { from })).status
  assert.is(await status(denying, '192.0.2.1'), 200)
  assert.is(await status(denying, '198.51.100.1'), 451)
  assert.is(await status(denying, '203.0.113.1'), 451)
  await using allowing = await simulatePlugin(plugin, { timeout: '1s', options: { table: TABLE, allow: ['FR'], header: 'x-country' } })
  assert.is(await status(allowing, '192.0.2.1'), 403)
  assert.is(await status(allowing, '203.0.113.1'), 403)
  const res = await allowing.fetch('/', { from: '198.51.100.1' })
  assert.is(res.sent?.headers.get('x-country'), 'FR')
})

test('routes to an upstream by code', async () => {
  write('geo.csv', TABLE)
  const before = `import table from './geo.csv'
import geoRoute from ${JSON.stringify(fileURLToPath(plugin))}
const europe = upstream('europe', { endpoints: ['10.0.0.1:80'] })
const america = upstream('america', { endpoints: ['10.0.0.2:80'] })
`
  const file = config(`{ use: [geoRoute({ table, route: { DE: 'europe', FR: 'europe' } })], to: america }`, {
    before,
    more: `side: http({ listen: ':8081', routes: [{ to: europe }] })`,
  })
  await using proxy = await simulate(file, { upstreams: { '*': (req) => new Response(req.upstream) } })
  const upstream = async (from: string) => (await proxy.fetch('/', { from })).text()
  assert.is(await upstream('192.0.2.1'), 'europe')
  assert.is(await upstream('203.0.113.9'), 'america')
})

test('a hundred thousand networks fit into its memory and are loaded in time, a code without a line is told', async () => {
  const table = hundredThousand()
  await using proxy = await simulatePlugin(plugin, { timeout: '1s', options: { table, deny: ['XX'] } })
  const res = await proxy.fetch('/', { from: '10.5.7.1' })
  assert.is(res.sent?.headers.get('x-geo'), new GeoTable(table).find('10.5.7.1'))
  assert.ok(proxy.logs.some(({ text }) => text === 'no line of the table has the code XX'))
})

function hundredThousand(): string {
  let text = ''
  for (let i = 0; i < 100_000; i++) text += `${10 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}.0/24,C${i % 250}\n`
  return text
}

test.run()
