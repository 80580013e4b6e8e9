/**
 * A plugin host whose plugin can be profiled: for the seconds of a profile, then it is killed. The wall is this process and Node's
 * permissions: started without any but to read this program, it gives up that one too before the plugin is there.
 */
import { startCpuProfile } from 'node:v8'
import { SAMPLE_MICROS } from './frames.ts'
import { type Profiler, serveAsHost } from './host-side.ts'
import { realms } from './realm.ts'

/** More are not kept: a minute of them. */
const MOST_SAMPLES = 60 * (1_000_000 / SAMPLE_MICROS)

let running: ReturnType<typeof startCpuProfile> | null = null

const profiler: Profiler = {
  start() {
    running = startCpuProfile({ sampleInterval: SAMPLE_MICROS / 1000, maxBufferSize: MOST_SAMPLES })
  },
  stop() {
    const profile = running?.stop()
    running = null
    if (profile === undefined) throw new Error('the process of the profile was started anew meanwhile')
    return profile
  },
}

// A signal is nothing that permissions know.
for (const name of ['kill', '_kill', 'binding', 'dlopen']) Reflect.deleteProperty(process, name)
// The promises are the plugin's.
process.on('unhandledRejection', () => {})
serveAsHost({ rooms: realms, profiler })
process.permission.drop('fs.read')
