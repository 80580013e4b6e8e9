/** Ends this process when the one that started it is gone, also while code of the user loops in it: a thread of its own looks. */
import { Worker } from 'node:worker_threads'

export function endWithParent(): void {
  new Worker(LOOK, { eval: true, workerData: process.ppid }).unref()
}

const LOOK = `const parent = require('node:worker_threads').workerData
setInterval(() => process.ppid === parent || process.kill(process.pid, 'SIGKILL'), 500)`
