/** One step of a reload over several workers: each does it, and what they answer is one answer. */
import type { Bundle } from '../config/bundle.ts'
import type { PlanSummary } from './messages.ts'
import { type CommitCounts, type PreparedPlan, PrepareError, type WorkerProcess } from './worker-process.ts'

export interface Candidate {
  readonly bundle: Bundle
  readonly generation: number
  readonly deadlineMs: number
}

/**
 * All of them prepare it and must understand it alike, or PrepareError is thrown. A worker that ends meanwhile is not waited for:
 * its replacement takes what is committed by then.
 */
export async function prepareAll(workers: readonly WorkerProcess[], { bundle, generation, deadlineMs }: Candidate): Promise<PreparedPlan> {
  const answers = await Promise.allSettled(workers.map((worker) => worker.prepare(bundle, generation, deadlineMs)))
  const failed = answers.find((answer) => answer.status === 'rejected' && answer.reason instanceof PrepareError)
  if (failed?.status === 'rejected') throw failed.reason
  const prepared = answers.filter((answer) => answer.status === 'fulfilled').map(({ value }) => value)
  const [first] = prepared
  if (first === undefined) throw new PrepareError('no worker outlived preparing the config')
  mustAgree(prepared.map(({ summary }) => summary))
  return first
}

/** Cannot fail: a worker that does not take it into use is ended, and its replacement will. */
export async function commitAll(workers: readonly WorkerProcess[], generation: number): Promise<CommitCounts> {
  const answers = await Promise.allSettled(workers.map((worker) => worker.commit(generation)))
  let [touched, connections] = [0, 0]
  for (const [i, answer] of answers.entries()) {
    if (answer.status === 'rejected') workers[i]!.kill('it did not take the plan into use')
    else {
      touched += answer.value.touched
      connections += answer.value.connections
    }
  }
  return { touched, connections }
}

export function mustAgree(summaries: readonly PlanSummary[]): void {
  const texts = new Set(summaries.map((summary) => JSON.stringify(summary)))
  if (texts.size > 1) {
    throw new PrepareError('the config is not the same in each worker: it depends on the time, on chance, or on something that changes')
  }
}
