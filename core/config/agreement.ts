/** Evaluates a config in a worker and holds the result against the one that was checked: what was not checked is not run. */
import type { Config } from '../index.ts'
import type { Bundle } from './bundle.ts'
import { dataOf, firstDifference, hashOf } from './data.ts'
import { evaluate } from './evaluate.ts'

/** Rejects with an Error that names what differs, if it is not the same each time. */
export async function evaluateChecked(bundle: Bundle): Promise<Config> {
  const config = await evaluate(bundle)
  if (bundle.dataHash === null) return config
  const data = dataOf(config)
  if (hashOf(data) === bundle.dataHash) return config
  const path = firstDifference(data, dataOf(await evaluate(bundle)))
  throw new Error(path === null ? DIFFERS_SOMEWHERE : `${path === '' ? 'the config' : path} ${DIFFERS}`)
}

const DIFFERS = 'is another each time the config is evaluated (a random number, a clock?); all workers have to come to the same'
const DIFFERS_SOMEWHERE =
  'the config is not the same in every process that evaluates it (the id of a process, a clock, a file that has just changed?); all workers have to come to the same'
