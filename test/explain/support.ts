/** Explains requests by a config's text, in this process. */
import { explainRequest } from '../../core/check/explain-answer.ts'
import { examine } from '../../core/config/check.ts'
import { instrument } from '../../core/config/instrument.ts'
import type { Asked, Explanation } from '../../core/explain/explanation.ts'
import { bundle, type Files } from '../config/support.ts'

export type Question = Partial<Omit<Asked, 'headers'>> & { readonly headers?: Readonly<Record<string, string>> }

/** Several questions about one config. */
export async function explainer(files: Files | string): Promise<(question: Question) => Promise<Explanation>> {
  const made = await bundle(typeof files === 'string' ? { 'proxy.config.ts': files } : files)
  const located = await examine({ bundle: made, instrumented: instrument(made) })
  if (!located.isValid) throw new Error(JSON.stringify(located.problems.map(({ message }) => message)))
  return ({ headers = {}, ...question }) =>
    explainRequest({
      ...{ bundle: made, located },
      asked: {
        ...{ method: 'GET', url: 'http://example.com/', from: '127.0.0.1', listener: null, head: null, protocol: 'HTTP/1.1', all: false },
        ...question,
        headers: Object.entries(headers),
      },
    })
}
