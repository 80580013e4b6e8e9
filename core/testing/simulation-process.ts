/**
 * The process of one simulation, which has the flags that sandboxes need and a test runner does not have. It does what it is told
 * over IPC, and ends when whoever started it is gone.
 */

import { endWithParent } from '../end-with-parent.ts'
import { fillModuleCache } from '../process/module-cache.ts'
import type { AllStubKinds, FromSimulation, KvContents, Source, ToSimulation } from './messages.ts'
import type { SimulatedProxy } from './simulated-proxy.ts'

process.title = 'sluice: simulation'

let proxy: SimulatedProxy | null = null

// What a config or a package says to whoever started it is not for the test.
const toTest = process.send!.bind(process)
delete process.send

process.on('message', (message: ToSimulation) => receive(message))
process.once('disconnect', () => process.exit(0))
// Ctrl-C reaches the whole group of processes; the test runner decides.
process.on('SIGINT', () => {})

function receive(message: ToSimulation): void {
  switch (message.kind) {
    case 'begin':
      return settle(message.id, begin(message))
    case 'reload':
      return settle(message.id, reload(message.source))
    case 'fetch':
      return settle(message.id, proxy!.fetch(message.id, message.request))
    case 'connect':
      return settle(message.id, proxy!.connect(message.request))
    case 'stubbed-raw':
      return proxy!.answerRawCall(message.call, message.answer)
    case 'abort':
      return proxy!.abort(message.fetch)
    case 'stubbed':
      return proxy!.answerCall(message.call, message.answer)
    case 'fetched':
      return proxy!.answerFetch(message.call, message.answer)
    case 'kv':
      return settle(message.id, (async () => proxy!.kv())())
    case 'stubs':
      return settle(message.id, (async () => proxy!.stub(message.stubs))())
    case 'settle':
      return settle(message.id, proxy!.settle())
    case 'advance':
      return settle(message.id, proxy!.advance(message.duration))
    case 'ping':
      return tell({ kind: 'alive' })
  }
}

/** The proxy's modules are loaded while another process checks the config. */
async function begin({ source, stubs, kv }: { source: Source; stubs: AllStubKinds; kv: KvContents }): Promise<void> {
  const { loadSource } = await import('./load.ts')
  const loading = loadSource(source)
  // Told below, if the modules are there first.
  loading.catch(() => {})
  const { SimulatedProxy } = await import('./simulated-proxy.ts')
  proxy = new SimulatedProxy({
    onLog: (line) => tell({ kind: 'log', line }),
    onCall: (call, key, request) => tell({ kind: 'call', call, key, request }),
    onRawCall: (call, key, piece) => tell({ kind: 'call-raw', call, key, piece }),
    onFetch: (call, request) => tell({ kind: 'fetching', call, request }),
    kv,
  })
  proxy.stub(stubs)
  await use(source, await loading)
  setImmediate(fillModuleCache)
  endWithParent()
}

async function reload(source: Source): Promise<void> {
  const { loadSource } = await import('./load.ts')
  await use(source, await loadSource(source))
}

async function use(source: Source, bundle: Parameters<SimulatedProxy['use']>[0]): Promise<void> {
  try {
    await proxy!.use(bundle)
  } catch (error) {
    const { explainFailure } = await import('./load.ts')
    throw await explainFailure(source, error)
  }
}

function settle(id: number, work: Promise<unknown>): void {
  work.then(
    (value) => tell({ kind: 'done', id, value }),
    (error: unknown) => tell({ kind: 'failed', id, message: error instanceof Error ? error.message : String(error) }),
  )
}

function tell(message: FromSimulation): void {
  if (process.connected) toTest(message, () => {})
}
