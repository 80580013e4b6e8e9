/** `sluice check`: tells every problem of a config, each at its place; opens no port. */
import { existsSync } from 'node:fs'
import { checkWhole } from '../check/whole.ts'
import { isMemoryShared } from '../process/counters-file.ts'
import { githubOf, jsonOf, judge, scopesOf, summaryOf, textOf, usesOf } from './check-output.ts'
import { hasColor } from './color.ts'
import { exitCodes } from './exit-codes.ts'
import { ownTypeRoots, sandboxTypes, typeFiles } from './installation.ts'

export type CheckFormat = 'text' | 'json' | 'github'

export interface CheckCommand {
  readonly file: string
  readonly format: CheckFormat
  readonly types: boolean
  /** Warnings fail, too. */
  readonly strict: boolean
}

export async function runCheck({ file, format, types, strict }: CheckCommand): Promise<number> {
  const whole = await checkWhole(file, { types: types ? { doors: typeFiles, typeRoots: ownTypeRoots, sandboxTypes } : null })
  const verdict = judge(whole.problems, strict)
  const summary = summaryOf(whole, verdict, file)
  if (format === 'json') print(process.stdout, jsonOf(whole, verdict))
  else if (format === 'github') print(process.stdout, [githubOf(whole, process.env.GITHUB_WORKSPACE || process.cwd()), summary])
  else {
    print(process.stderr, textOf(whole, { color: hasColor(process.stderr), folder: process.cwd() }))
    if (whole.problems.length > 0) process.stderr.write('\n')
    // A config that is not there has no types either.
    if (types && whole.typesSkipped !== null && existsSync(whole.file))
      print(process.stderr, `types were not checked: ${whole.typesSkipped}`)
    print(verdict.isOk ? process.stdout : process.stderr, [summary, usesOf(whole), scopesOf(whole, isMemoryShared)])
  }
  return verdict.isOk ? exitCodes.ok : exitCodes.failed
}

function print(stream: NodeJS.WriteStream, text: string | readonly string[]): void {
  const lines = typeof text === 'string' ? text : text.filter((line) => line !== '').join('\n')
  if (lines !== '') stream.write(`${lines}\n`)
}
