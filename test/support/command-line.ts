/** The command line in this process, for what it says without starting or serving anything: no process to start. */
import { runCommandLine } from '../../core/cli/command-line.ts'

export interface Said {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export async function runHere(args: readonly string[]): Promise<Said> {
  const said = { stdout: '', stderr: '' }
  const streams = ['stdout', 'stderr'] as const
  const writes = streams.map((name) => process[name].write)
  for (const name of streams) {
    process[name].write = (text: string | Uint8Array) => {
      said[name] += String(text)
      return true
    }
  }
  try {
    return { code: await runCommandLine(args, null), ...said }
  } finally {
    for (const [i, name] of streams.entries()) process[name].write = writes[i]!
  }
}
