/** The process in which a config is evaluated and checked. It gets one question, answers, and is killed. */
import { enableCompileCache, flushCompileCache } from 'node:module'
import { ConfigError, errorProblem } from '../config/problems.ts'
import { endWithParent } from '../end-with-parent.ts'
import type { Answer, Question } from './checker.ts'
import { withLeanZod } from './lean-zod.ts'

// Given by the parent if it has one: without it, half of the time goes into compiling what follows.
const [isAhead, cacheFolder] = process.argv.splice(2)
// What a config or a package says to whoever started it, `ready` for one, is no answer.
const toParent = process.send!.bind(process)
delete process.send
if (cacheFolder !== undefined) enableCompileCache(cacheFolder)
const { answerTo, rehearse } = await withLeanZod(() => import('./answer.ts'))
const { secretsOf, withoutSecrets } = await import('../config/secrets.ts')

process.once('message', (question: Question) => {
  answerTo(question, send).then((checked) => end({ kind: 'checked', checked }), fail)
})
// Started before there is a question: what answering takes is loaded and compiled by then.
if (isAhead === 'ahead') {
  endWithParent()
  await rehearse().catch(() => {})
  flushCompileCache()
}
process.once('uncaughtException', fail)
process.once('unhandledRejection', fail)
// Nobody waits for the answer any more.
process.once('disconnect', () => process.exit(1))

function send(answer: Answer): void {
  toParent(answer, () => {})
}

/** It is killed as soon as it has answered: what it had to compile is kept for the next one before that. */
function end(answer: Answer): void {
  flushCompileCache()
  send(answer)
}

function fail(error: unknown): void {
  const problems =
    error instanceof ConfigError ? error.problems : [errorProblem(error instanceof Error ? String(error.stack) : String(error))]
  end({ kind: 'checked', checked: { problems: withoutSecrets(problems, secretsOf(null)), named: [], dataHash: null, facts: null } })
}
