/** `sluice plugin profile`: asks a running proxy for a CPU profile of one plugin, tells the hottest functions, and writes the file. */
import { writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { type CpuProfile, type HotFunction, hottestFunctions } from '../sandbox/profile.ts'
import { ask, type Choice, ControlError, chooseProxy } from './control-client.ts'
import { tellingErrors } from './control-commands.ts'
import { exitCodes } from './exit-codes.ts'
import { shortPath } from './short-path.ts'

export interface PluginProfileOptions {
  readonly plugin: string
  readonly seconds: number
  /** Default: the plugin's name, in this folder. */
  readonly output: string | null
}

const shown = 5

export async function runPluginProfile(choice: Choice, { plugin, seconds, output }: PluginProfileOptions): Promise<number> {
  return tellingErrors(async () => {
    const { calls, profile } = await recorded(await chooseProxy(choice), { plugin, seconds })
    if (calls === 0)
      throw new ControlError(`nobody called ${plugin} within ${seconds} s: nothing is written; send it requests, or give it more --seconds`)
    const file = resolve(output ?? `${plugin.replace(/[^\w.@-]+/g, '-')}.cpuprofile`)
    write(file, profile)
    process.stdout.write(`${describe(profile, calls)}\nwrote ${shortPath(file)}\n`)
    return exitCodes.ok
  })
}

interface Recorded {
  readonly calls: number
  readonly profile: CpuProfile
}

async function recorded(socket: string, { plugin, seconds }: { readonly plugin: string; readonly seconds: number }): Promise<Recorded> {
  let progress: Progress | null = null
  try {
    for await (const answer of ask(socket, { do: 'profile', plugin, seconds })) {
      if (answer.kind === 'profiling') progress = new Progress(plugin, seconds)
      // Made by this very program, at the other end.
      if (answer.kind === 'profiled') return { calls: answer.calls, profile: answer.profile as CpuProfile }
    }
  } finally {
    progress?.end()
  }
  throw new ControlError('the proxy ended before the profile was there')
}

/** One line on standard error, which counts the seconds where it is a terminal. */
class Progress {
  readonly #isTerminal = process.stderr.isTTY === true
  readonly #timer: NodeJS.Timeout | null
  #passed = 0

  constructor(plugin: string, seconds: number) {
    const tell = (): void => {
      const state = this.#passed >= seconds ? 'almost done' : `${this.#passed} of ${seconds} s`
      process.stderr.write(`\r\x1b[Kprofiling ${plugin}: ${state}`)
      this.#passed++
    }
    this.#timer = this.#isTerminal ? setInterval(tell, 1000) : null
    if (this.#isTerminal) tell()
    else process.stderr.write(`profiling ${plugin} for ${seconds} s\n`)
  }

  end(): void {
    if (this.#timer === null) return
    clearInterval(this.#timer)
    process.stderr.write('\r\x1b[K')
  }
}

function write(file: string, profile: CpuProfile): void {
  try {
    writeFileSync(file, JSON.stringify(profile))
  } catch (error) {
    throw new ControlError(
      `the profile cannot be written: ${error instanceof Error ? error.message : String(error)}; -o FILE puts it elsewhere`,
    )
  }
}

function describe(profile: CpuProfile, calls: number): string {
  const hot = hottestFunctions(profile, shown)
  const head = `${calls} ${calls === 1 ? 'call' : 'calls'}`
  if (hot.length === 0) return `${head}, too short to be seen in any function: try more traffic, or more --seconds`
  return [`${head}; the most time of its own had`, ...table(hot)].join('\n')
}

function table(hot: readonly HotFunction[]): string[] {
  const rows = hot.map(
    ({ name, file, line, selfMicros }) => [`${(selfMicros / 1000).toFixed(1)} ms`, name, `${shortPath(file)}:${line}`] as const,
  )
  const times = Math.max(...rows.map(([time]) => time.length))
  const names = Math.max(...rows.map(([, name]) => name.length))
  return rows.map(([time, name, place]) => `  ${time.padStart(times)}  ${name.padEnd(names)}  ${place}`)
}
