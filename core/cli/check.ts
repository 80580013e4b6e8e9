/** `sluice check`: tells every problem of a config; opens no port. */
import { formatProblems, loadConfig } from '../config/load.ts'
import { exitCodes } from './exit-codes.ts'

export async function runCheck({ file, json }: { readonly file: string; readonly json: boolean }): Promise<number> {
  const { bundle, problems } = await loadConfig(file)
  if (json) process.stdout.write(`${JSON.stringify({ ok: problems.length === 0, problems })}\n`)
  else if (problems.length > 0) process.stderr.write(formatProblems(problems))
  else process.stdout.write(`${file} is valid\n`)
  return problems.length === 0 && bundle !== null ? exitCodes.ok : exitCodes.failed
}
