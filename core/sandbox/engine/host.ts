/**
 * The plugin host: a process that runs one plugin and nothing else. It may die at any moment, of what the plugin makes V8 do or by
 * its worker's hand; it ends when its worker does.
 */
import { flushCompileCache } from 'node:module'
import { serveAsHost } from './host-side.ts'
import { isolates } from './isolate.ts'

serveAsHost({ rooms: isolates, profiler: null })
// Now, for it will be killed, and before there is a plugin that could have a say in what is kept.
flushCompileCache()
