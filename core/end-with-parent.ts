/**
 * Ends this process when the one that started it is gone, also while code of the user loops in it: by the kernel on Linux, elsewhere
 * by a thread of its own that looks, which costs a tenth of a second of CPU.
 */
import { createRequire } from 'node:module'
import { Worker } from 'node:worker_threads'

export function endWithParent(): void {
  const parent = process.ppid
  if (!askKernel()) new Worker(LOOK, { eval: true, workerData: parent }).unref()
  // It ended before the kernel was asked.
  else if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL')
}

const PR_SET_PDEATHSIG = 1
const SIGKILL = 9

interface Ffi {
  dlopen(path: null, symbols: object): { readonly functions: { prctl(option: number, value: bigint): number } }
}

/** By `node:ffi`, an experiment of Node's: false where it is not to be had, or is not what it was. */
function askKernel(): boolean {
  if (process.platform !== 'linux' || process.env.SLUICE_NO_FFI === '1') return false
  try {
    const { dlopen } = createRequire(import.meta.url)('node:ffi') as Ffi
    const { functions } = dlopen(null, { prctl: { return: 'int32', arguments: ['int32', 'uint64'] } })
    return functions.prctl(PR_SET_PDEATHSIG, BigInt(SIGKILL)) === 0
  } catch {
    return false
  }
}

const LOOK = `const parent = require('node:worker_threads').workerData
setInterval(() => process.ppid === parent || process.kill(process.pid, 'SIGKILL'), 500)`
