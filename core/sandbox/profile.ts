/**
 * From what V8 recorded of a plugin host to a profile of the plugin alone: calls begin at its hooks, places are those of its own
 * files, and what else the process did is one node. Well-formed: one root, every node reached once, every sample names a node, the
 * deltas add up to its length. Pure.
 */
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Place } from './stack.ts'

/** As in a `.cpuprofile`: lines and columns from 0, times in microseconds. */
export interface CpuProfile {
  readonly nodes: readonly ProfileNode[]
  readonly startTime: number
  readonly endTime: number
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

export interface ProfileNode {
  readonly id: number
  readonly callFrame: CallFrame
  readonly hitCount: number
  readonly children?: readonly number[]
}

export interface CallFrame {
  readonly functionName: string
  readonly scriptId: number | string
  readonly url: string
  readonly lineNumber: number
  readonly columnNumber: number
}

export interface ProfileParts {
  /** The name under which the plugin was compiled. */
  readonly file: string
  /** Its own place of one in the bundle, both from 1; null: unknown. */
  locate(line: number, column: number): Place | null
}

/** A function of the plugin, and the time spent in its own code. */
export interface HotFunction {
  readonly name: string
  readonly file: string
  /** 1-based. */
  readonly line: number
  readonly selfMicros: number
}

interface Growing {
  readonly id: number
  readonly callFrame: CallFrame
  hitCount: number
  readonly children: Map<string, Growing>
}

/** The sandbox's own scripts: what they take is part of the plugin's calls. */
const SANDBOX = 'sluice:sandbox'
const PROXY = '(sluice)'

export function profileOf(recorded: CpuProfile, parts: ProfileParts): CpuProfile {
  const nodes: Growing[] = []
  const add = (children: Map<string, Growing> | null, callFrame: CallFrame): Growing => {
    const key = [callFrame.functionName, callFrame.url, callFrame.lineNumber, callFrame.columnNumber].join('\0')
    const known = children?.get(key)
    if (known !== undefined) return known
    const node = { id: nodes.length + 1, callFrame, hitCount: 0, children: new Map() }
    nodes.push(node)
    children?.set(key, node)
    return node
  }
  const root = add(null, frameOf('(root)'))
  const mapped = new Map<number, Growing>()
  const byId = new Map(recorded.nodes.map((node) => [node.id, node]))
  // A stack of our own: a plugin may call as deep as it likes.
  const open = [...rootsOf(recorded)].map((node) => ({ node, above: root, isTop: true }))
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { node, above, isTop } = next
    const kept = isTop ? root : place(node.callFrame, { above, root, parts, add })
    mapped.set(node.id, kept)
    // What stands below the proxy's own frames begins anew at the root.
    const under = kept.callFrame.functionName === PROXY ? root : kept
    for (const id of node.children ?? []) if (byId.has(id)) open.push({ node: byId.get(id)!, above: under, isTop: false })
  }
  return written(recorded, { nodes, root, mapped })
}

/** Where a frame belongs in the new tree. */
function place(
  frame: CallFrame,
  {
    above,
    root,
    parts,
    add,
  }: {
    readonly above: Growing
    readonly root: Growing
    readonly parts: ProfileParts
    add(children: Map<string, Growing>, frame: CallFrame): Growing
  },
): Growing {
  const { functionName, url, lineNumber, columnNumber } = frame
  if (url === parts.file) {
    const found = parts.locate(lineNumber + 1, columnNumber + 1)
    const name = functionName === '' ? '(anonymous)' : functionName
    if (found === null) return add(above.children, { ...frameOf(name), url: pathToFileURL(parts.file).href })
    return add(above.children, {
      ...frameOf(name),
      ...{ url: pathToFileURL(found.file).href, lineNumber: found.line - 1, columnNumber: found.column - 1 },
    })
  }
  if (url === SANDBOX) return add(above.children, { ...frame, scriptId: '0' })
  // `(idle)`, `(garbage collector)`, and what the language brings, which is called by the plugin or by nobody of interest.
  if (url === '' && functionName.startsWith('(')) return add(root.children, frameOf(functionName))
  if (url === '' && above !== root) return add(above.children, frameOf(functionName))
  return add(root.children, frameOf(PROXY))
}

function written(
  recorded: CpuProfile,
  { nodes, root, mapped }: { readonly nodes: readonly Growing[]; readonly root: Growing; readonly mapped: ReadonlyMap<number, Growing> },
): CpuProfile {
  const { startTime, endTime } = recorded
  const samples: number[] = []
  const timeDeltas: number[] = []
  let at = startTime
  let clock = startTime
  for (const [i, id] of recorded.samples.entries()) {
    clock += recorded.timeDeltas[i] ?? 0
    const node = mapped.get(id) ?? root
    node.hitCount++
    samples.push(node.id)
    // V8 may notice a sample before the one it noted last.
    const until = Math.min(endTime, Math.max(at, clock))
    timeDeltas.push(until - at)
    at = until
  }
  // Tells when the last sample ended.
  if (samples.length > 0 && at < endTime) {
    samples.push(root.id)
    root.hitCount++
    timeDeltas.push(endTime - at)
  }
  const list = nodes.map(({ id, callFrame, hitCount, children }) => ({
    ...{ id, callFrame, hitCount },
    children: [...children.values()].map((child) => child.id),
  }))
  return { nodes: list, startTime, endTime, samples, timeDeltas }
}

/** Nodes that are nobody's child: V8 has one, `(root)`. */
function rootsOf({ nodes }: CpuProfile): ProfileNode[] {
  const children = new Set(nodes.flatMap(({ children = [] }) => children))
  return nodes.filter(({ id }) => !children.has(id))
}

function frameOf(functionName: string): CallFrame {
  return { functionName, scriptId: '0', url: '', lineNumber: -1, columnNumber: -1 }
}

/** Self time by node: a sample lasts until the next one. */
export function selfMicros({ samples, timeDeltas }: CpuProfile): Map<number, number> {
  const times = new Map<number, number>()
  for (const [i, id] of samples.entries()) times.set(id, (times.get(id) ?? 0) + (timeDeltas[i + 1] ?? 0))
  return times
}

/** The functions of the plugin that took most in their own code. */
export function hottestFunctions(profile: CpuProfile, most: number): HotFunction[] {
  const times = selfMicros(profile)
  const functions = new Map<string, HotFunction>()
  for (const { id, callFrame } of profile.nodes) {
    const { functionName: name, url, lineNumber } = callFrame
    const self = times.get(id) ?? 0
    if (self === 0 || !url.startsWith('file:')) continue
    const line = lineNumber + 1
    const key = `${name} ${url}:${line}`
    functions.set(key, { name, file: fileURLToPath(url), line, selfMicros: self + (functions.get(key)?.selfMicros ?? 0) })
  }
  return [...functions.values()].sort((a, b) => b.selfMicros - a.selfMicros).slice(0, most)
}
