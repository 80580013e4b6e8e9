/** What the checking process does for each kind of question. */
import type { Bundle } from '../config/bundle.ts'
import { type Examined, examine } from '../config/check.ts'
import { hashOf } from '../config/data.ts'
import { bundleForUrl } from '../config/for-url.ts'
import { byPlace } from '../config/problems.ts'
import { secretsOf, withoutSecrets } from '../config/secrets.ts'
import type { Answer, Checked, Question } from './checker.ts'
import type { CheckedUses } from './plugins.ts'
import { checkSteady } from './steady.ts'

/** Checks the smallest config there is. */
export async function rehearse(): Promise<void> {
  const bundle = bundleForUrl('http://127.0.0.1:1')
  const request = { bundle, instrumented: { code: bundle.code, literals: [], repeated: [], insertions: [] } }
  await answerTo({ request, plugins: false }, () => {})
  await import('./plugins.ts')
}

export async function answerTo({ request, plugins, asked }: Question, tell: (answer: Answer) => void): Promise<Checked> {
  const examined = await examine(request, (problems) => tell({ kind: 'partly', problems: withoutSecrets(problems, secretsOf(null)) }))
  const { problems, named, isThere, isValid, facts } = examined
  if (asked !== undefined && isValid) {
    const { explainRequest } = await import('./explain-answer.ts')
    const explanation = await explainRequest({ bundle: request.bundle, located: examined, asked })
    return { problems, named, dataHash: null, facts, explanation }
  }
  const dataHash = isValid ? hashOf(examined.data()) : null
  const checked = { problems, named, dataHash, facts }
  if (!plugins || !isThere) return checked
  tell({ kind: 'partly', problems })
  const { problems: more, uses } = await checkFurther(request.bundle, examined, (plugin) => tell({ kind: 'use', plugin }))
  if (more.length === 0) return { ...checked, uses }
  const masked = withoutSecrets(more, secretsOf(examined.config))
  return { ...checked, uses, problems: byPlace([...problems, ...masked], request.bundle.file), dataHash: null }
}

/** What each worker finds out by itself, found out here with its place. */
async function checkFurther(bundle: Bundle, examined: Examined, onUse: (plugin: string) => void): Promise<CheckedUses> {
  const unsteady = examined.isValid ? await checkSteady(bundle, examined) : []
  if (bundle.plugins.length === 0) return { problems: unsteady, uses: [] }
  const { checkUses } = await import('./plugins.ts')
  const { problems, uses } = await checkUses({ bundle, located: examined, onUse }).catch((error: unknown) => {
    // A config that is not in shape may have no uses that can be found.
    if (!examined.isValid) return { problems: [], uses: [] }
    throw error
  })
  return { problems: [...unsteady, ...problems], uses }
}
