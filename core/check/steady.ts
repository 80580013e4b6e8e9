/** Whether a config is the same each time it is evaluated: if it is not, workers will refuse it, and here it is known where. */
import type { Bundle } from '../config/bundle.ts'
import { dataOf, firstDifference } from '../config/data.ts'
import { run } from '../config/evaluate.ts'
import type { LocatedConfig } from '../config/located.ts'
import type { Path, Step } from '../config/positions.ts'
import { errorProblem, type Problem } from '../config/problems.ts'

const UNSTEADY = 'this is another each time the config is evaluated (a random number, a clock?); all workers have to come to the same'

/** Evaluates it once more. */
export async function checkSteady(bundle: Bundle, located: LocatedConfig): Promise<Problem[]> {
  const name = firstDifference(located.data(), dataOf(await run(bundle)))
  return name === null ? [] : [errorProblem(UNSTEADY, located.placeOf(pathOf(located.config, name)), name === '' ? null : name)]
}

const STEP = /\.?([A-Za-z_$][\w$]*)|\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]/g

/** From `listeners.web.routes[0]` to the path, with the steps that no user writes. */
function pathOf(config: unknown, name: string): Path {
  const path: Step[] = []
  let value = config
  for (const [, word, index, quoted] of name.matchAll(STEP)) {
    const step = index !== undefined ? Number(index) : (word ?? String(JSON.parse(quoted!)))
    if (isObject(value) && !(step in value) && isObject(value.options)) {
      path.push({ hidden: 'options' })
      value = value.options
    }
    path.push(step)
    value = isObject(value) ? value[step] : undefined
  }
  return path
}

function isObject(value: unknown): value is Readonly<Record<string | number, unknown>> {
  return typeof value === 'object' && value !== null
}
