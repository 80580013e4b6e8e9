/** What the checking process does for each kind of question. */
import { examine } from '../config/check.ts'
import { hashOf } from '../config/data.ts'
import type { Answer, Checked, Question } from './checker.ts'

export async function answerTo({ request, plugins }: Question, tell: (answer: Answer) => void): Promise<Checked> {
  const examined = await examine(request, (problems) => tell({ kind: 'partly', problems }))
  const { problems, named, isThere, isValid } = examined
  const dataHash = isValid ? hashOf(examined.data()) : null
  if (!plugins || !isThere || request.bundle.plugins.length === 0) return { problems, named, dataHash }
  tell({ kind: 'partly', problems })
  const { checkUses } = await import('./plugins.ts')
  const onUse = (plugin: string): void => tell({ kind: 'use', plugin })
  const more = await checkUses({ bundle: request.bundle, located: examined, onUse }).catch((error: unknown) => {
    // A config that is not in shape may have no uses that can be found.
    if (!isValid) return []
    throw error
  })
  return { problems: [...problems, ...more], named, dataHash: more.length > 0 ? null : dataHash }
}
