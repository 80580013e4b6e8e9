/** `sluice status`, `reload` and `stop`: what they ask of a running proxy, what they print, and their exit codes. */
import { findRunning } from '../process/control-folder.ts'
import { ask, askOnce, type Choice, ControlError, chooseProxy } from './control-client.ts'
import { exitCodes } from './exit-codes.ts'
import { describeSeconds, formatStatus, type Status } from './status.ts'

const progressMs = 250

export async function runStatus(choice: Choice, { json, all }: { readonly json: boolean; readonly all: boolean }): Promise<number> {
  return tellingErrors(async () => {
    if (all) return listAll(json)
    const status = await readStatus(await chooseProxy(choice))
    process.stdout.write(json ? `${JSON.stringify(status)}\n` : formatStatus(status, new Date()))
    return exitCodes.ok
  })
}

export async function runReload(choice: Choice): Promise<number> {
  return tellingErrors(async () => {
    const { result } = await askOnce(await chooseProxy(choice), { do: 'reload' }, 'reload')
    if (result.ok) process.stdout.write(`${result.line}\n`)
    else process.stderr.write(`${result.text.trimEnd()}\nnot reloaded: the running config stays\n`)
    return result.ok ? exitCodes.ok : exitCodes.config
  })
}

/** Ends when the proxy has: its end of the connection is closed by nothing else. */
export async function runStop(choice: Choice, { now }: { readonly now: boolean }): Promise<number> {
  return tellingErrors(async () => {
    const socket = await chooseProxy(choice)
    let isDrained = false
    let progress: NodeJS.Timeout | undefined
    try {
      for await (const { kind } of ask(socket, { do: 'stop', now })) {
        if (kind === 'draining' && !now) progress = tellProgress(socket)
        isDrained ||= kind === 'drained'
      }
    } finally {
      clearInterval(progress)
    }
    if (!isDrained && !now) throw new ControlError('the proxy ended before it was drained: another signal or a failure ended it')
    process.stdout.write('stopped\n')
    return exitCodes.ok
  })
}

export async function tellingErrors(run: () => Promise<number>): Promise<number> {
  try {
    return await run()
  } catch (error) {
    if (!(error instanceof ControlError)) throw error
    process.stderr.write(`sluice: ${error.message}\n`)
    return exitCodes.failed
  }
}

async function readStatus(socket: string): Promise<Status> {
  const { status } = await askOnce(socket, { do: 'status' }, 'status')
  // Every field of it is optional; a value that is no object has none of them.
  return (typeof status === 'object' && status !== null ? status : {}) as Status
}

async function listAll(json: boolean): Promise<number> {
  const running = await findRunning()
  if (json) process.stdout.write(`${JSON.stringify(running)}\n`)
  else if (running.length === 0) process.stdout.write('no proxy is running\n')
  for (const { pid, config, startedAt } of json ? [] : running) {
    const up = describeSeconds((Date.now() - Date.parse(startedAt)) / 1000)
    process.stdout.write(`${String(pid).padEnd(8)} up ${up.padEnd(12)} ${config}\n`)
  }
  return exitCodes.ok
}

/** A line whenever the number of connections has changed, and some are left. */
function tellProgress(socket: string): NodeJS.Timeout {
  let last = ''
  const tell = async (): Promise<void> => {
    const { connections } = await readStatus(socket)
    const line = `draining: ${connections} ${connections === 1 ? 'connection' : 'connections'} left\n`
    if (!connections || line === last) return
    process.stdout.write(last === '' ? `${line}sluice stop --now does not wait\n` : line)
    last = line
  }
  // When it cannot be asked any more it has ended, which is told elsewhere.
  const tellOrNot = (): void => void tell().catch(() => {})
  tellOrNot()
  return setInterval(tellOrNot, progressMs)
}
