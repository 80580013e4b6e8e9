/** Evaluates an instrumented bundle and checks what comes out, each problem with the place where the value was written. */

import { dirname, relative } from 'node:path'
import type { Config } from '../index.ts'
import { type CheckRequest, readLocated } from './located.ts'
import { formatPath, type Path } from './positions.ts'
import type { Problem } from './problems.ts'
import { Report } from './report.ts'
import { checkShape } from './schema.ts'
import { warnOfUnreachable } from './unreachable.ts'

export type { CheckRequest } from './located.ts'

/** Throws ConfigError for what keeps the config from being evaluated. */
export async function checkConfig(request: CheckRequest): Promise<readonly Problem[]> {
  const { config, placeOf } = await readLocated(request)
  const folder = dirname(request.bundle.file)
  const report = new Report()
  checkShape(config, { report, folder })
  // Only what is valid can be compared.
  if (!report.findings.some(({ severity }) => severity === 'error')) warnOfUnreachable(config as Config, report)
  const nameOf = (path: Path): string => {
    const { file, line } = placeOf(path)
    return `${relative(folder, file)}:${line}`
  }
  const problems = report.findings.map(({ severity, path, message, what }) => ({
    severity,
    path: path.length === 0 ? null : formatPath(path),
    message: typeof message === 'string' ? message : message(nameOf),
    place: placeOf(path, what),
  }))
  return withoutRepeats(problems)
}

/** One line of a config may have made many routes: it is wrong once. */
function withoutRepeats(problems: readonly Problem[]): Problem[] {
  const seen = new Set<string>()
  return problems.filter(({ message, place }) => {
    const key = JSON.stringify([message, place?.file, place?.line, place?.column])
    return place?.line === 0 || (!seen.has(key) && seen.add(key))
  })
}
