/** The child process in which a config is evaluated and checked. It gets one bundle, answers with its problems, and is killed. */
import { enableCompileCache, flushCompileCache } from 'node:module'
import type { CheckRequest } from './load.ts'
import { ConfigError, errorProblem, type Problem } from './problems.ts'

// Given by the parent if it has one: without it, half of the time goes into compiling what follows.
const [cacheFolder] = process.argv.splice(2)
if (cacheFolder !== undefined) enableCompileCache(cacheFolder)
const { checkConfig } = await import('./check.ts')

process.once('message', (request: CheckRequest) => {
  checkConfig(request).then(answer, (error: unknown) => answer(problemsOf(error)))
})
process.once('uncaughtException', (error) => answer(problemsOf(error)))
process.once('unhandledRejection', (error) => answer(problemsOf(error)))
// Nobody waits for the answer any more.
process.once('disconnect', () => process.exit(1))

function answer(problems: readonly Problem[]): void {
  if (cacheFolder !== undefined) flushCompileCache()
  process.send?.(problems)
}

function problemsOf(error: unknown): readonly Problem[] {
  if (error instanceof ConfigError) return error.problems
  return [errorProblem(error instanceof Error ? String(error.stack) : String(error))]
}
