/** The file that the supervisor forks: one worker process, carrying traffic with the real proxy. */
import { createProxy } from '../proxy.ts'
import { serveAsWorker } from './worker-side.ts'

serveAsWorker(createProxy)
