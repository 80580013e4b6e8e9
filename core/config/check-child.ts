/** The child process in which a config is evaluated and checked. It gets one bundle, answers with its problems, and is killed. */

import { checkConfig } from './check.ts'
import type { CheckRequest } from './load.ts'
import { ConfigError, errorProblem, type Problem } from './problems.ts'

process.once('message', (request: CheckRequest) => {
  checkConfig(request).then(answer, (error: unknown) => answer(problemsOf(error)))
})
process.once('uncaughtException', (error) => answer(problemsOf(error)))
process.once('unhandledRejection', (error) => answer(problemsOf(error)))
// Nobody waits for the answer any more.
process.once('disconnect', () => process.exit(1))

function answer(problems: readonly Problem[]): void {
  process.send?.(problems)
}

function problemsOf(error: unknown): readonly Problem[] {
  if (error instanceof ConfigError) return error.problems
  return [errorProblem(error instanceof Error ? String(error.stack) : String(error))]
}
