/** What V8 recorded of a process becomes a profile of the plugin: whatever was recorded, it is well-formed. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type CpuProfile, hottestFunctions, type ProfileNode, profileOf } from '../../core/sandbox/profile.ts'

const FILE = '/app/plugins/geo.ts'
/** Ten lines further up, in another file. */
const parts = {
  file: FILE,
  locate: (line: number, column: number) => (line > 10 ? { file: '/app/plugins/lib/table.ts', line: line - 10, column } : null),
}

test('the proxy’s own frames become one node, and what they called begins at the root', () => {
  const recorded = tree([
    [1, 0, '(root)', ''],
    [2, 1, 'onData', 'node:net'],
    [3, 2, 'run', 'file:///app/core/sandbox/engine/executor.ts'],
    [4, 3, 'run', 'sluice:sandbox'],
    [5, 4, 'onRequest', FILE, 20],
    [6, 5, 'sqrt', ''],
    [7, 1, '(garbage collector)', ''],
    [8, 2, '(garbage collector)', ''],
  ])
  const { nodes } = profileOf({ ...recorded, samples: [3, 4, 5, 6, 7, 8], timeDeltas: [0, 1, 1, 1, 1, 1] }, parts)
  assert.equal(stacksOf(nodes).sort(), [
    '(root)',
    '(root) > (garbage collector)',
    '(root) > (sluice)',
    '(root) > run',
    '(root) > run > onRequest',
    '(root) > run > onRequest > sqrt',
  ])
  const { callFrame } = nodes.find((node) => node.callFrame.functionName === 'onRequest')!
  assert.equal([callFrame.url, callFrame.lineNumber, callFrame.columnNumber], ['file:///app/plugins/lib/table.ts', 10, 0])
  assert.is(nodes.find((node) => node.callFrame.functionName === '(garbage collector)')!.hitCount, 2)
})

test('a function met on several ways is one, and its time lasts until the next sample', () => {
  const recorded = tree([
    [1, 0, '(root)', ''],
    [2, 1, 'a', FILE, 20],
    [3, 2, 'burn', FILE, 40],
    [4, 1, 'burn', FILE, 40],
    [5, 1, '(idle)', ''],
  ])
  const samples = [3, 5, 4, 2]
  const profile = profileOf({ ...recorded, startTime: 1000, endTime: 2000, samples, timeDeltas: [0, 100, 200, 300] }, parts)
  const rows = hottestFunctions(profile, 5).map(({ name, file, line, selfMicros }) => [name, file, line, selfMicros])
  assert.equal(rows, [
    ['burn', '/app/plugins/lib/table.ts', 31, 400],
    ['a', '/app/plugins/lib/table.ts', 11, 400],
  ])
  assert.is(hottestFunctions(profile, 1).length, 1)
})

test('every node is reached once, samples name nodes, deltas add up, and hits are counted', () => {
  const names = fc.constantFrom('', 'a', 'burn', '(idle)', '(program)')
  const urls = fc.constantFrom('', FILE, 'sluice:sandbox', 'node:net', 'file:///app/core/x.ts')
  const frames = fc.array(fc.tuple(fc.nat(), names, urls, fc.integer({ min: -1, max: 30 })), { maxLength: 40 })
  const ticks = fc.array(fc.tuple(fc.nat(50), fc.integer({ min: -200, max: 2000 })), { maxLength: 60 })
  fc.assert(
    fc.property(frames, ticks, fc.nat(100_000), (list, samples, length) => {
      const rows = list.map(([parent, name, url, line], i) => [i + 2, (parent % (i + 1)) + 1, name, url, line] as const)
      const recorded = {
        ...tree([[1, 0, '(root)', ''], ...rows]),
        ...{ startTime: 5, endTime: 5 + length, samples: samples.map(([id]) => id), timeDeltas: samples.map(([, delta]) => delta) },
      }
      wellFormed(profileOf(recorded, parts), { startTime: 5, endTime: 5 + length, hits: samples.length })
    }),
  )
})

test('calls as deep as a stack goes are no problem', () => {
  const deep = Array.from({ length: 50_000 }, (_, i) => [i + 2, i + 1, 'again', FILE, i % 2 === 0 ? 20 : 21] as const)
  const profile = profileOf({ ...tree([[1, 0, '(root)', ''], ...deep]), samples: [50_001], timeDeltas: [1] }, parts)
  assert.is(profile.nodes.length, 50_001)
})

function wellFormed(
  { nodes, samples, timeDeltas, startTime, endTime }: CpuProfile,
  recorded: { readonly startTime: number; readonly endTime: number; readonly hits: number },
): void {
  assert.equal([startTime, endTime], [recorded.startTime, recorded.endTime])
  const byId = new Map(nodes.map((node) => [node.id, node]))
  assert.is(byId.size, nodes.length)
  const reached: number[] = []
  const open = [nodes[0]!.id]
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    reached.push(id)
    open.push(...(byId.get(id)!.children ?? []))
  }
  assert.is(reached.length, nodes.length)
  assert.is(new Set(reached).size, nodes.length)
  assert.ok(samples.every((id) => byId.has(id)))
  assert.is(samples.length, timeDeltas.length)
  assert.ok(timeDeltas.every((delta) => delta >= 0))
  const length = timeDeltas.reduce((sum, delta) => sum + delta, 0)
  assert.is(length, samples.length === 0 ? 0 : endTime - startTime)
  for (const { id, hitCount } of nodes) assert.is(hitCount, samples.filter((sample) => sample === id).length)
  // The last one may only tell when the one before it ended.
  assert.ok(samples.length - recorded.hits <= 1)
}

/** Rows of id, parent (0: none), function, url, line in the bundle from 0. */
function tree(rows: readonly (readonly [id: number, parent: number, name: string, url: string, line?: number])[]): CpuProfile {
  const children = Map.groupBy(rows, ([, parent]) => parent)
  const nodes = rows.map(([id, , functionName, url, lineNumber = -1]): ProfileNode => {
    const callFrame = { functionName, scriptId: '1', url, lineNumber, columnNumber: 0 }
    return { id, callFrame, hitCount: 0, children: (children.get(id) ?? []).map(([child]) => child) }
  })
  return { nodes, startTime: 0, endTime: 10, samples: [], timeDeltas: [] }
}

function stacksOf(nodes: readonly ProfileNode[]): string[] {
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const list: string[] = []
  const walk = (node: ProfileNode, above: string): void => {
    const stack = above === '' ? node.callFrame.functionName : `${above} > ${node.callFrame.functionName}`
    list.push(stack)
    for (const id of node.children ?? []) walk(byId.get(id)!, stack)
  }
  walk(nodes[0]!, '')
  return list
}

test.run()
