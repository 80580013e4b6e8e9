/** How many workers and connections a machine gets, by what its kernel says. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { cpuQuota, maxConnections, suggestWorkers } from '../../core/process/capacity.ts'

const GB = 1024 ** 3

test('without limits there is a worker for each CPU', () => {
  assert.is(suggestWorkers({ cpus: 8, memory: 16 * GB, read: files({}) }), 8)
})

test('a CPU quota of cgroup v2 counts, wherever above it stands', () => {
  const read = files({
    '/proc/self/cgroup': '0::/a/b\n',
    '/sys/fs/cgroup/a/b/cpu.max': 'max 100000',
    '/sys/fs/cgroup/a/cpu.max': '250000 100000',
  })
  assert.is(cpuQuota(read), 2.5)
  assert.is(suggestWorkers({ cpus: 8, memory: 16 * GB, read }), 2)
})

test('the root of a container has its quota in the root folder', () => {
  assert.is(cpuQuota(files({ '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/cpu.max': '50000 100000\n' })), 0.5)
})

test('a CPU quota of cgroup v1 counts', () => {
  const folder = '/sys/fs/cgroup/cpu/x'
  const read = files({
    '/proc/self/cgroup': '4:memory:/x\n2:cpu,cpuacct:/x\n',
    [`${folder}/cpu.cfs_quota_us`]: '300000',
    [`${folder}/cpu.cfs_period_us`]: '100000',
  })
  assert.is(cpuQuota(read), 3)
})

test('a quota of -1 is none', () => {
  const read = files({
    '/proc/self/cgroup': '2:cpu:/\n',
    '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1',
    '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000',
  })
  assert.is(cpuQuota(read), null)
})

test('there are no more workers than fit into memory, but always one', () => {
  assert.is(suggestWorkers({ cpus: 8, memory: 0.5 * GB, read: files({}) }), 3)
  assert.is(suggestWorkers({ cpus: 8, memory: 0.1 * GB, read: files({}) }), 1)
})

test('connections leave some descriptors free', () => {
  const limits = (soft: string) =>
    files({ '/proc/self/limits': `Max open files            ${soft}                ${soft}                files     \n` })
  assert.is(maxConnections(limits('1024')), 896)
  assert.is(maxConnections(limits('20000')), 17_500)
  assert.ok(maxConnections(limits('unlimited')) > 900_000)
  assert.is(maxConnections(files({})), 3_584)
})

test.run()

function files(texts: Readonly<Record<string, string>>): (path: string) => string | null {
  return (path) => texts[path] ?? null
}
