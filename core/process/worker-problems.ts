/** What a worker tells of an error that kept it from preparing a config: its places, as far as the error knows them. */
import { readFileSync } from 'node:fs'
import { ConfigError, errorProblem, type Problem, placeIn } from '../config/problems.ts'
import { PluginError } from '../sandbox/source.ts'

export function problemsOf(error: unknown): readonly Problem[] {
  if (error instanceof ConfigError) return error.problems
  if (error instanceof PluginError && error.line > 0) {
    const { plugin, file, line, column, message } = error
    const words = message.slice(message.indexOf(`plugin ${plugin}: `))
    return [errorProblem(words, placeIn(readOrNothing(file), file, line, column))]
  }
  return [errorProblem(error instanceof Error ? error.message : String(error))]
}

function readOrNothing(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
