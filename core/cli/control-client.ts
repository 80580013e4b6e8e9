/** Speaks to a running proxy over its control socket. Whatever goes wrong is a ControlError, whose message is a sentence for the user. */
import net from 'node:net'
import { configPlace, findRunning, type RunningProxy } from '../process/control-folder.ts'
import { type ControlAnswer, type ControlRequest, encodeLine, parseAnswer } from '../process/control-protocol.ts'

export class ControlError extends Error {
  override readonly name = 'ControlError'
}

/** How a user names the proxy that is meant; all null: the one of this folder, or the only one. */
export interface Choice {
  readonly config: string | null
  readonly pid: number | null
  /** The path of its socket, as `--control` gave it. */
  readonly control: string | null
}

/** The socket of the proxy that is meant. Throws ControlError when there is none, or more than one. */
export async function chooseProxy(choice: Choice, running?: readonly RunningProxy[]): Promise<string> {
  if (choice.control !== null && choice.control !== 'off') return choice.control
  const all = running ?? (await findRunning())
  const meant = choose(choice, all)
  if (meant.length === 1) return meant[0]!.socket
  if (meant.length > 1) throw new ControlError(`${meant.length} proxies are running; name one with -c FILE or --pid PID\n${list(meant)}`)
  const wanted = choice.pid !== null ? ` with pid ${choice.pid}` : choice.config !== null ? ` with ${choice.config}` : ''
  const others = all.length === 0 ? '' : `; there ${all.length === 1 ? 'is' : 'are'}\n${list(all)}`
  throw new ControlError(`no proxy is running${wanted}${others}`)
}

/** What it answers, one after the other, until it has said all. */
export async function* ask(socket: string, request: ControlRequest): AsyncGenerator<ControlAnswer, void, undefined> {
  const connection = net.connect(socket)
  connection.write(encodeLine(request))
  for await (const line of linesOf(connection, socket)) {
    const answer = parseAnswer(line)
    if (answer === null) throw new ControlError(`${socket} does not answer as a proxy does`)
    if (answer.kind === 'error') throw new ControlError(answer.message)
    yield answer
  }
}

async function* linesOf(connection: net.Socket, socket: string): AsyncGenerator<string, void, undefined> {
  let text = ''
  try {
    for await (const chunk of connection.setEncoding('utf8')) {
      const lines = (text + chunk).split('\n')
      text = lines.pop()!
      yield* lines
    }
  } catch (error) {
    throw new ControlError(describeFailure(socket, error as NodeJS.ErrnoException))
  } finally {
    connection.destroy()
  }
}

/** The one answer to a request that has one. */
export async function askOnce<Kind extends ControlAnswer['kind']>(
  socket: string,
  request: ControlRequest,
  kind: Kind,
): Promise<Extract<ControlAnswer, { kind: Kind }>> {
  for await (const answer of ask(socket, request)) {
    // The kind decides which of the answers it is.
    if (answer.kind === kind) return answer as Extract<ControlAnswer, { kind: Kind }>
  }
  throw new ControlError('the proxy ended before it answered')
}

function choose({ config, pid }: Choice, all: readonly RunningProxy[]): readonly RunningProxy[] {
  if (pid !== null) return all.filter((proxy) => proxy.pid === pid)
  if (config !== null) return all.filter((proxy) => proxy.config === config || proxy.config === configPlace(config))
  const here = all.filter((proxy) => proxy.config === configPlace('proxy.config.ts'))
  return here.length > 0 ? here : all
}

function list(proxies: readonly RunningProxy[]): string {
  const width = Math.max(...proxies.map(({ pid }) => String(pid).length))
  return proxies.map(({ pid, config }) => `  pid ${String(pid).padEnd(width)}  ${config}`).join('\n')
}

function describeFailure(socket: string, { code, message }: NodeJS.ErrnoException): string {
  if (code === 'ENOENT' || code === 'ECONNREFUSED') return `no proxy listens on ${socket}`
  if (code === 'EACCES' || code === 'EPERM') return `${socket} belongs to another user: run this as the user that started the proxy`
  return `${socket}: ${message}`
}
