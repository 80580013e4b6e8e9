/** The executor by itself, in a room that only notes how long each crossing may take. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Batch } from '../../core/sandbox/batch.ts'
import type { EngineSink } from '../../core/sandbox/engine/engine.ts'
import { Executor } from '../../core/sandbox/engine/executor.ts'
import type { Room, Rooms } from '../../core/sandbox/engine/room.ts'
import type { PluginSource } from '../../core/sandbox/source.ts'
import { DONE, IN_AT, KINDS, MORE, TIMER, TO } from '../../core/sandbox/wire.ts'

const quiet = (): void => undefined
const sink: EngineSink = { answered: quiet, failed: quiet, settled: quiet, overran: quiet, lost: quiet, gone: quiet }
const source = { id: 'x', file: 'x.ts' } as PluginSource

// A turn of the clock on the wall cannot be tried again behind an `await`: on a busy machine honest plugins lost requests to it.
test('who awaits gets more of the clock on the wall, which a busy machine may need; who does not is tried again instead', async () => {
  const strict = new Clocked(false)
  await strict.run()
  assert.equal(strict.limits, { run: 5, granted: 50 })
  const patient = new Clocked(true)
  await patient.run()
  assert.equal(patient.limits, { run: 50, granted: 50 })
})

class Clocked {
  readonly limits: Record<string, number> = {}
  readonly #executor: Executor
  readonly #isAsync: boolean

  constructor(isAsync: boolean) {
    this.#isAsync = isAsync
    const rooms: Rooms = { share: (bytes) => new SharedArrayBuffer(bytes), open: (_, memory) => this.#room(new Int32Array(memory)) }
    this.#executor = new Executor(source, 64, { sink, rooms })
  }

  async run(): Promise<void> {
    const executor = this.#executor
    executor.define()
    await executor.setUp({ index: 0, options: '{}', restore: '', timeoutMs: 5 })
    const batch = new Batch(new Int32Array(executor.memory), IN_AT, executor)
    batch.count = 1
    executor.run(batch, 5)
    executor.answerWishes([{ id: 1, isDone: true, text: '' }])
    executor.close()
  }

  #room(tape: Int32Array): Room {
    const { limits } = this
    const setUp = {
      ...{ hooks: ['onRequest'], responseNeeds: 0, viewNeeds: 0, needs: Array(KINDS).fill(0), requestBody: null, responseBody: null },
      ...{ requestEdits: null, responseEdits: null, isAsync: this.#isAsync },
    }
    tape[MORE] = 0
    tape[TIMER] = -1
    const returned = (): 'returned' => 'returned'
    return {
      ...{ ending: 'returned', output: JSON.stringify(setUp), isDisposed: false, dispose: quiet },
      ...{
        define: returned,
        setUp: returned,
        reload: returned,
        drop: returned,
        finished: returned,
        drain: returned,
        tick: returned,
        clock: returned,
        attach: returned,
      },
      granted: (_id, _isDone, _text, timeoutMs) => {
        limits.granted = timeoutMs
        return 'returned'
      },
      run: (_from, _to, _at, _text, timeoutMs) => {
        limits.run = timeoutMs
        tape[DONE] = tape[TO] = 1
        return 'returned'
      },
    }
  }
}

test.run()
