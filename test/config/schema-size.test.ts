import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Report } from '../../core/config/report.ts'
import { checkShape } from '../../core/config/schema.ts'
import { type HttpRoute, http, redirect, respond, upstream } from '../../core/index.ts'

const api = upstream('api', { endpoints: ['127.0.0.1:1'] })

function makeConfig(count: number): unknown {
  const routes = Array.from({ length: count }, (_, i): HttpRoute => {
    const match = {
      name: `r${i}`,
      host: `t${i}.example.com`,
      path: [`/a${i}/:id`, '/b/*'],
      method: ['GET', 'POST'],
      headers: { 'x-a': true },
    }
    const destinations = [{ to: api, rewrite: '/x' }, { redirect: redirect('/new') }, { respond: respond(200, 'ok') }] as const
    return { ...match, ...destinations[i % 3]! }
  })
  return { listeners: { web: http({ listen: ':8080', routes }) } }
}

function timeOf(count: number): number {
  const config = makeConfig(count)
  const report = new Report()
  const { user, system } = process.threadCpuUsage()
  checkShape(config, { report, folder: '/' })
  const now = process.threadCpuUsage()
  const ms = (now.user + now.system - user - system) / 1000
  assert.equal(report.findings, [])
  return ms
}

test('ten thousand routes are checked in a moment, and twice as many in about twice that', () => {
  timeOf(1_000)
  const [small, large] = [Math.min(timeOf(10_000), timeOf(10_000)), Math.min(timeOf(20_000), timeOf(20_000))]
  console.log(`  10,000 routes ${small.toFixed(0)} ms, 20,000 ${large.toFixed(0)} ms`)
  assert.ok(small < 1_000, `${small} ms`)
  assert.ok(large < small * 4 + 100, `${small} ms, then ${large} ms`)
})

test('a config that holds itself is told so', () => {
  const routes: unknown[] = [{ to: api }]
  routes.push({ path: '/x', routes })
  const report = new Report()
  checkShape({ listeners: { web: { kind: 'http', options: { listen: ':8080', routes } } } }, { report, folder: '/' })
  assert.equal(
    report.findings.map(({ message }) => message),
    ['the routes hold themselves: this list stands in itself'],
  )
})

test.run()
