/** A config as evaluated, together with where in the sources each of its values was written. */
import { isMissing } from '../environment.ts'
import type { Bundle } from './bundle.ts'
import { dataOf } from './data.ts'
import { isHole, tryRun } from './evaluate.ts'
import type { Instrumented } from './instrument.ts'
import { Original } from './original.ts'
import { type Path, Positions, valuesAlong } from './positions.ts'
import { ConfigError, type Place, type Problem, wholeFile } from './problems.ts'
import { Locator } from './source-map.ts'

export interface CheckRequest {
  readonly bundle: Bundle
  readonly instrumented: Instrumented
}

export interface LocatedConfig {
  readonly config: unknown
  /** Of the value at the end of a path, or of its key; of what is nearest around it; of the file if nothing is. */
  placeOf(path: Path, what?: 'key' | 'value'): Place
  /** As workers will find it (data.ts). */
  data(): readonly string[]
}

/** What could be known of a config in spite of `problems`: what is missing has something in its place that stands for anything. */
export interface PartlyLocated extends LocatedConfig {
  readonly problems: readonly Problem[]
  /** False: there is no config at all. */
  readonly isThere: boolean
  /** All that upstream(…) returned. */
  upstreams(): readonly { readonly value: object; readonly place: Place }[]
  /** Keys that stand twice in one object. */
  repeatedKeys(): readonly { readonly key: string; readonly place: Place }[]
  /** The value at the end of the path depends on something that is missing: nothing can be said of it. */
  isUnknown(path: Path): boolean
}

/** Throws ConfigError for what keeps the config from being evaluated. */
export async function readLocated(request: CheckRequest): Promise<LocatedConfig> {
  const located = await readPartly(request)
  if (located.problems.length > 0) throw new ConfigError(located.problems)
  return located
}

/** As far as it goes. `onProblems` gets to know early: a config that goes on with something missing may loop. */
export async function readPartly(
  { bundle, instrumented }: CheckRequest,
  onProblems?: (problems: readonly Problem[]) => void,
): Promise<PartlyLocated> {
  const positions = new Positions(instrumented)
  const original = new Original(bundle.code, instrumented)
  const { config, problems, isThere } = await tryRun(
    { ...bundle, code: instrumented.code },
    { extras: positions.extras, adjust: (line, column) => original.place(line, column), ...(onProblems && { onProblems }) },
  )
  const locator = new Locator(bundle)
  const placeAt = (offset: number | null): Place =>
    (offset === null ? null : locator.locate(...original.lineAndColumn(offset))) ?? wholeFile(bundle.file)
  return {
    config,
    problems,
    isThere,
    placeOf: (path, what = 'value') => placeAt(positions.find(config, path, what)),
    repeatedKeys: () => instrumented.repeated.map(({ key, at }) => ({ key, place: placeAt(at) })),
    upstreams: () => positions.upstreams.map(({ value, at }) => ({ value, place: placeAt(at) })),
    data: () => dataOf(config, (value) => original.textOf(value)),
    isUnknown: (path) => problems.length > 0 && valuesAlong(config, path).some((value) => isHole(value) || isMissing(value)),
  }
}
