/** Asks the checking process to explain one request by a config. What is wrong with the config is told instead, if it is. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { type Bundle, bundleConfig } from '../config/bundle.ts'
import { bundleForUrl } from '../config/for-url.ts'
import { instrument } from '../config/instrument.ts'
import { ConfigError, errorProblem, type Problem } from '../config/problems.ts'
import { withoutSecrets } from '../config/secrets.ts'
import type { Asked, Explanation } from '../explain/explanation.ts'
import { bundlePlugin } from '../sandbox/bundle.ts'
import { Checker } from './checker.ts'
import { mayUsePlugins } from './foreseen.ts'

export interface Explained {
  /** Null if the config is not valid. */
  readonly explanation: Explanation | null
  readonly problems: readonly Problem[]
}

/** `config`: a file, or the URL that `sluice http://…` was given. Never throws for what is wrong with it. */
export async function explainConfig(config: string, asked: Asked, deadlineMs = 10_000): Promise<Explained> {
  const isUrl = /^https?:\/\//i.test(config)
  const file = resolve(config)
  if (!isUrl && !existsSync(file)) return { explanation: null, problems: [errorProblem(`there is no file ${file}`)] }
  // Forked first: it starts while the config is being bundled.
  let checker = new Checker({ loadsPlugins: !isUrl && mayUsePlugins(file) })
  try {
    const bundle: Bundle = isUrl ? bundleForUrl(config) : await bundleConfig(file, { bundlePlugin })
    if (!checker.suits(bundle, true)) {
      checker.end()
      checker = new Checker({ loadsPlugins: true })
    }
    const question = { request: { bundle, instrumented: instrument(bundle) }, plugins: false, asked, isOnly: true }
    const { problems, explanation } = await checker.ask(question, deadlineMs)
    return { explanation: explanation ?? null, problems }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return { explanation: null, problems: withoutSecrets(error.problems) }
  } finally {
    checker.end()
  }
}
