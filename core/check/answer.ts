/** What the checking process does for each kind of question. */
import { examine } from '../config/check.ts'
import { hashOf } from '../config/data.ts'
import { bundleForUrl } from '../config/for-url.ts'
import { byPlace } from '../config/problems.ts'
import { secretsOf, withoutSecrets } from '../config/secrets.ts'
import type { Answer, Checked, Question } from './checker.ts'

/** Checks the smallest config there is. */
export async function rehearse(): Promise<void> {
  const bundle = bundleForUrl('http://127.0.0.1:1')
  const request = { bundle, instrumented: { code: bundle.code, literals: [], insertions: [] } }
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
  if (!plugins || !isThere || request.bundle.plugins.length === 0) return { problems, named, dataHash, facts }
  tell({ kind: 'partly', problems })
  const { checkUses } = await import('./plugins.ts')
  const onUse = (plugin: string): void => tell({ kind: 'use', plugin })
  const more = await checkUses({ bundle: request.bundle, located: examined, onUse }).catch((error: unknown) => {
    // A config that is not in shape may have no uses that can be found.
    if (!isValid) return []
    throw error
  })
  const masked = withoutSecrets(more, secretsOf(examined.config))
  return { problems: byPlace([...problems, ...masked], request.bundle.file), named, dataHash: more.length > 0 ? null : dataHash, facts }
}
