/**
 * What a `kv.get` costs from a worker to the supervisor and back, alone and many in one turn: `node bench/micro/kv.ts`. The worker is
 * a process of its own, as `core/process` forks it; both ends are the real ones.
 */
import { fork } from 'node:child_process'
import type { KvOperation, KvOutcome } from '../../core/capability/kv-store.ts'
import { LocalKvStore } from '../../core/capability/local-kv.ts'
import { RemoteKvStore } from '../../core/capability/remote-kv.ts'

const ROUNDS = 9
const ROUND_MS = 300

if (process.send === undefined) holdStore()
else await measure(process.send.bind(process))

function holdStore(): void {
  const store = new LocalKvStore()
  store.performAll([{ kind: 'set', space: 'bench', key: 'key', value: 'a value of thirty-two characters', ttlMs: 0 }])
  const worker = fork(import.meta.filename, [], { serialization: 'advanced', execArgv: ['--disable-warning=ExperimentalWarning'] })
  worker.on('message', ({ batch, operations }: { batch: number; operations: readonly KvOperation[] }) => {
    worker.send({ batch, outcomes: store.performAll(operations) })
  })
}

async function measure(send: (message: object) => boolean): Promise<void> {
  const store = new RemoteKvStore({ send: (batch, operations) => void send({ batch, operations }) })
  process.on('message', ({ batch, outcomes }: { batch: number; outcomes: readonly KvOutcome[] }) => store.answer(batch, outcomes))
  const get: KvOperation = { kind: 'get', space: 'bench', key: 'key' }
  for (const many of [1, 10, 100]) {
    const times: number[] = []
    for (let round = 0; round < ROUNDS; round++) {
      const from = performance.now()
      let done = 0
      while (performance.now() - from < ROUND_MS) {
        await Promise.all(Array.from({ length: many }, () => store.perform(get)))
        done += many
      }
      times.push(((performance.now() - from) * 1000) / done)
    }
    times.sort((a, b) => a - b)
    const [best = 0, median = 0] = [times[0], times[ROUNDS >> 1]]
    console.log(`${many} at once: ${median.toFixed(1)} µs a kv.get, best round ${best.toFixed(1)}`)
  }
  process.disconnect?.()
}
