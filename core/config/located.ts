/** A config as evaluated, together with where in the sources each of its values was written. */
import type { Bundle } from './bundle.ts'
import { run } from './evaluate.ts'
import type { Instrumented } from './instrument.ts'
import { type Path, Positions } from './positions.ts'
import { type Place, wholeFile } from './problems.ts'
import { Locator } from './source-map.ts'

export interface CheckRequest {
  readonly bundle: Bundle
  readonly instrumented: Instrumented
}

export interface LocatedConfig {
  readonly config: unknown
  /** Of the value at the end of a path, or of its key; of what is nearest around it; of the file if nothing is. */
  placeOf(path: Path, what?: 'key' | 'value'): Place
}

/** Throws ConfigError for what keeps the config from being evaluated. */
export async function readLocated({ bundle, instrumented }: CheckRequest): Promise<LocatedConfig> {
  const positions = new Positions(instrumented)
  const lines = lineStarts(bundle.code)
  const undo = (line: number, column: number): readonly [number, number] =>
    withoutInsertions(lines, bundle.code.length, instrumented, [line, column])
  const config = await run({ ...bundle, code: instrumented.code }, { extras: positions.extras, adjust: undo })
  const locator = new Locator(bundle)
  return {
    config,
    placeOf(path, what = 'value') {
      const offset = positions.find(config, path, what)
      return (offset === null ? null : locator.locate(...lineAndColumn(lines, offset))) ?? wholeFile(bundle.file)
    },
  }
}

/** A place in the instrumented code → the same place in the bundle's. Lines are the same: nothing inserted holds a line break. */
function withoutInsertions(
  lines: readonly number[],
  length: number,
  { insertions }: Instrumented,
  [line, column]: readonly [number, number],
): readonly [number, number] {
  const [from, to] = [lines[line - 1] ?? 0, lines[line] ?? length]
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
