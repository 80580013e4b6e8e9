/** The process in which a config is evaluated and checked. It answers one question at a time, and is killed unless it is left as it was. */
import { enableCompileCache, flushCompileCache } from 'node:module'
import { ConfigError, errorProblem } from '../config/problems.ts'
import { endWithParent } from '../end-with-parent.ts'
import { forgetGiven } from '../environment.ts'
import type { Answer, Question } from './checker.ts'
import { withLeanZod } from './lean-zod.ts'
import { Surroundings } from './surroundings.ts'

// Given by the parent if it has one: without it, half of the time goes into compiling what follows.
const [isAhead, cacheFolder] = process.argv.splice(2)
// What a config or a package says to whoever started it, `ready` for one, is no answer.
const toParent = process.send!.bind(process)
delete process.send
if (cacheFolder !== undefined) enableCompileCache(cacheFolder)
const { answerTo, rehearse } = await withLeanZod(() => import('./answer.ts'))
const { secretsOf, withoutSecrets } = await import('../config/secrets.ts')

/** Null until there was a question that may be followed by another. */
let surroundings: Surroundings | null = null
let hasAnswered = false
let isAsked = false

process.on('message', (question: Question) => {
  isAsked = true
  if (question.isOnly !== true) surroundings ??= new Surroundings()
  forgetGiven()
  answerTo(question, send).then((checked) => {
    // It may be killed as soon as it has answered: what it had to compile is kept for the next one before that.
    if (!hasAnswered) flushCompileCache()
    hasAnswered = true
    isAsked = false
    send({ kind: 'checked', checked, isUnchanged: checked.dataHash !== null && surroundings?.areSame === true })
  }, fail)
})
// Started before there is a question: what answering takes is loaded and compiled by then.
if (isAhead === 'ahead') {
  endWithParent()
  await rehearse().catch(() => {})
  flushCompileCache()
}
process.on('uncaughtException', fail)
process.on('unhandledRejection', fail)
// Nobody waits for the answer any more.
process.once('disconnect', () => process.exit(1))

function send(answer: Answer): void {
  toParent(answer, () => {})
}

function fail(error: unknown): void {
  // Nobody would hear of it: the next one to ask finds it gone.
  if (!isAsked) process.exit(1)
  flushCompileCache()
  const problems =
    error instanceof ConfigError ? error.problems : [errorProblem(error instanceof Error ? String(error.stack) : String(error))]
  const checked = { problems: withoutSecrets(problems, secretsOf(null)), named: [], dataHash: null, facts: null }
  send({ kind: 'checked', checked, isUnchanged: false })
}
