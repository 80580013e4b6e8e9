/** Evaluates an instrumented bundle and checks what comes out, each problem with the place where the value was written. */

import { dirname } from 'node:path'
import type { Bundle } from './bundle.ts'
import { run } from './evaluate.ts'
import type { Instrumented } from './instrument.ts'
import { formatPath, Positions } from './positions.ts'
import { byPlace, type Place, type Problem, wholeFile } from './problems.ts'
import { type Finding, Report } from './report.ts'
import { checkShape } from './schema.ts'
import { Locator } from './source-map.ts'

export interface CheckRequest {
  readonly bundle: Bundle
  readonly instrumented: Instrumented
}

/** Throws ConfigError for what keeps the config from being evaluated. */
export async function checkConfig({ bundle, instrumented }: CheckRequest): Promise<readonly Problem[]> {
  const positions = new Positions(instrumented)
  const undo = (line: number, column: number): readonly [number, number] => withoutInsertions(bundle.code, instrumented, line, column)
  const config = await run({ ...bundle, code: instrumented.code }, { extras: positions.extras, adjust: undo })
  const report = new Report()
  checkShape(config, { report, folder: dirname(bundle.file) })
  const locator = new Locator(bundle)
  const lines = lineStarts(bundle.code)
  const place = ({ path, what }: Finding): Place | null => {
    const offset = positions.find(config, path, what)
    return offset === null ? null : locator.locate(...lineAndColumn(lines, offset))
  }
  const problems = report.findings.map((finding) => ({
    severity: finding.severity,
    path: finding.path.length === 0 ? null : formatPath(finding.path),
    message: finding.message,
    place: place(finding) ?? wholeFile(bundle.file),
  }))
  return byPlace(withoutRepeats(problems), bundle.file)
}

/** One line of a config may have made many routes: it is wrong once. */
function withoutRepeats(problems: readonly Problem[]): Problem[] {
  const seen = new Set<string>()
  return problems.filter(({ message, place }) => {
    const key = JSON.stringify([message, place?.file, place?.line, place?.column])
    return place?.line === 0 || (!seen.has(key) && seen.add(key))
  })
}

/** A place in the instrumented code → the same place in the bundle's. Lines are the same: nothing inserted holds a line break. */
function withoutInsertions(code: string, { insertions }: Instrumented, line: number, column: number): readonly [number, number] {
  const lines = lineStarts(code)
  const [from, to] = [lines[line - 1] ?? 0, lines[line] ?? code.length]
  let original = column
  for (const [at, length] of insertions) {
    if (at < from || at >= to) continue
    if (at - from + 1 >= original) break
    original = Math.max(at - from + 1, original - length)
  }
  return [line, original]
}

function lineStarts(code: string): number[] {
  const starts = [0]
  for (let at = code.indexOf('\n'); at >= 0; at = code.indexOf('\n', at + 1)) starts.push(at + 1)
  return starts
}

function lineAndColumn(starts: readonly number[], offset: number): [line: number, column: number] {
  let low = 0
  let high = starts.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (starts[middle]! <= offset) low = middle
    else high = middle - 1
  }
  return [low + 1, offset - starts[low]! + 1]
}
