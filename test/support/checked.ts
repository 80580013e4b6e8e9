/** What `sluice check` finds wrong and prints, found out in this process: nothing is started, so a config must not loop. Types are left out. */
import { basename, dirname } from 'node:path'
import { answerTo } from '../../core/check/answer.ts'
import type { Whole } from '../../core/check/whole.ts'
import { judge, scopesOf, summaryOf, textOf, usesOf } from '../../core/cli/check-output.ts'
import { ConfigBundler } from '../../core/config/bundle.ts'
import { instrument } from '../../core/config/instrument.ts'
import { byPlace, ConfigError } from '../../core/config/problems.ts'
import { forgetGiven } from '../../core/environment.ts'
import { isMemoryShared } from '../../core/process/counters-file.ts'
import { bundlePlugin } from '../../core/sandbox/bundle.ts'

export interface CheckedFile {
  readonly status: 0 | 1
  readonly output: string
}

/** `strict`: warnings fail, too. */
export async function checkFile(file: string, { strict = false } = {}): Promise<CheckedFile> {
  const whole = await findOut(file)
  const verdict = judge(whole.problems, strict)
  const told = textOf(whole, { color: false, folder: dirname(file) })
  const lines = [told, summaryOf(whole, verdict, basename(file)), usesOf(whole), scopesOf(whole, isMemoryShared)]
  return { status: verdict.isOk ? 0 : 1, output: `${lines.filter((line) => line !== '').join('\n')}\n` }
}

async function findOut(file: string): Promise<Whole> {
  const bundler = new ConfigBundler(file, bundlePlugin)
  forgetGiven()
  try {
    const bundle = await bundler.bundle()
    const {
      problems,
      facts,
      uses = [],
    } = await answerTo({ request: { bundle, instrumented: instrument(bundle) }, plugins: true }, () => {})
    return { file, problems: byPlace([...bundler.warnings, ...problems], file), facts, uses, typesSkipped: null }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return { file, problems: error.problems, facts: null, uses: [], typesSkipped: null }
  } finally {
    await bundler.close()
  }
}
