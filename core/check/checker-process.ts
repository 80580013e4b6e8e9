/** The process in which a config is evaluated and checked. It gets one question, answers, and is killed. */
import { enableCompileCache, flushCompileCache } from 'node:module'
import { ConfigError, errorProblem } from '../config/problems.ts'
import type { Checked, Question } from './checker.ts'

// Given by the parent if it has one: without it, half of the time goes into compiling what follows.
const [cacheFolder] = process.argv.splice(2)
if (cacheFolder !== undefined) enableCompileCache(cacheFolder)
const { checkConfig } = await import('../config/check.ts')

process.once('message', ({ request }: Question) => {
  checkConfig(request).then((problems) => answer({ problems, named: [], dataHash: null }), fail)
})
process.once('uncaughtException', fail)
process.once('unhandledRejection', fail)
// Nobody waits for the answer any more.
process.once('disconnect', () => process.exit(1))

function answer(checked: Checked): void {
  if (cacheFolder !== undefined) flushCompileCache()
  process.send?.(checked)
}

function fail(error: unknown): void {
  const problems =
    error instanceof ConfigError ? error.problems : [errorProblem(error instanceof Error ? String(error.stack) : String(error))]
  answer({ problems, named: [], dataHash: null })
}
