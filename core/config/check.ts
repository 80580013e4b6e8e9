/** Evaluates an instrumented bundle and checks what comes out, each problem with the place where the value was written. */

import { dirname } from 'node:path'
import type { Config } from '../index.ts'
import { type Facts, factsOf, heldOfKind } from './facts.ts'
import { type CheckRequest, type LocatedConfig, type PartlyLocated, readPartly } from './located.ts'
import { warnOfLostLogins } from './lost-logins.ts'
import { formatPath, type Path } from './positions.ts'
import { byPlace, errorProblem, type Problem, shownFile } from './problems.ts'
import { Report, show } from './report.ts'
import { checkShape } from './schema.ts'
import { maskPlace, secretsOf, withoutSecrets } from './secrets.ts'
import { warnOfUnreachable } from './unreachable.ts'

export type { CheckRequest } from './located.ts'

export interface Examined extends LocatedConfig {
  /** False: there is no config at all. */
  readonly isThere: boolean
  readonly isValid: boolean
  readonly problems: readonly Problem[]
  /** Files that its values name, absolute paths. */
  readonly named: readonly string[]
  /** Null: there is no config at all. */
  readonly facts: Facts | null
}

/** All that is wrong with a config. */
export async function checkConfig(request: CheckRequest): Promise<readonly Problem[]> {
  return (await examine(request)).problems
}

/** As `checkConfig`, with the config. `onProblems` gets what is known to be wrong before the config runs, for it may not come back. */
export async function examine(request: CheckRequest, onProblems?: (problems: readonly Problem[]) => void): Promise<Examined> {
  const located = await readPartly(request, onProblems)
  const { config, placeOf } = located
  const folder = dirname(request.bundle.file)
  const report = new Report()
  const named = new Set<string>()
  const parts = located.isThere ? checkShape(config, { report, folder, named }) : null
  // Only what is valid can be compared.
  const isValid = located.problems.length === 0 && !report.findings.some(({ severity }) => severity === 'error')
  if (isValid) {
    warnOfUnreachable(config as Config, report)
    warnOfLostLogins(config as Config, report)
  }
  const nameOf = (path: Path): string => {
    const { file, line } = placeOf(path)
    return `${shownFile(file, folder)}:${line}`
  }
  const problems = report.findings
    .filter(({ path }) => !located.isUnknown(path))
    .map(({ severity, path, message, what }) => ({
      severity,
      path: path.length === 0 ? null : formatPath(path),
      message: typeof message === 'string' ? message : message(nameOf),
      place: placeOf(path, what),
    }))
  const secrets = secretsOf(config)
  const ours = new Set([...problems, ...repeatedKeys(located), ...unusedUpstreams(located)])
  const all = byPlace(withoutRepeats([...located.problems, ...ours]), request.bundle.file)
  return {
    ...located,
    problems: withoutSecrets(all, secrets, (problem) => ours.has(problem)),
    isValid,
    named: [...named],
    facts: parts === null ? null : factsOf(parts, (path) => maskPlace(placeOf(path), secrets)),
  }
}

function repeatedKeys(located: PartlyLocated): Problem[] {
  return located
    .repeatedKeys()
    .map(({ key, place }) => errorProblem(`the key ${key} stands twice in one object: what was written first is lost`, place))
}

function unusedUpstreams({ config, problems, upstreams }: PartlyLocated): Problem[] {
  // With something missing, it may be that which uses them.
  if (problems.length > 0) return []
  const used = heldOfKind(config, 'upstream')
  return upstreams()
    .filter(({ value }) => !used.has(value))
    .map(({ value, place }) => {
      const name = 'name' in value ? show(value.name) : ''
      return { severity: 'warning', path: null, message: `nothing is sent to the upstream ${name}: no route names it`, place }
    })
}

/** One line of a config may have made many routes: it is wrong once. */
function withoutRepeats(problems: readonly Problem[]): Problem[] {
  const seen = new Set<string>()
  return problems.filter(({ message, place }) => {
    const key = JSON.stringify([message, place?.file, place?.line, place?.column])
    return place?.line === 0 || (!seen.has(key) && seen.add(key))
  })
}
