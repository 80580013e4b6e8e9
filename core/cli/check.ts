/** `sluice check`: tells every problem of a config, each at its place; opens no port. */
import { loadConfig } from '../check/loader.ts'
import { formatProblems } from '../config/problems.ts'
import { exitCodes } from './exit-codes.ts'

export async function runCheck({ file, json }: { readonly file: string; readonly json: boolean }): Promise<number> {
  const { bundle, problems } = await loadConfig(file)
  const color = process.stderr.isTTY && (process.env.NO_COLOR ?? '') === ''
  if (json) process.stdout.write(`${JSON.stringify({ ok: bundle !== null, problems })}\n`)
  else if (problems.length > 0) process.stderr.write(`${formatProblems(problems, { color, folder: process.cwd() })}\n`)
  if (bundle === null) return exitCodes.failed
  if (!json) process.stdout.write(`${file} is valid\n`)
  return exitCodes.ok
}
