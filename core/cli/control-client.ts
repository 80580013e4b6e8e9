/** Speaks to a running proxy over its control socket. Whatever goes wrong is a ControlError, whose message is a sentence for the user. */
import { existsSync, statSync } from 'node:fs'
import net from 'node:net'
import { configPlace, findRunning, type RunningProxy } from '../process/control-folder.ts'
import { type ControlAnswer, type ControlRequest, encodeLine, parseAnswer } from '../process/control-protocol.ts'

export class ControlError extends Error {
  override readonly name = 'ControlError'
}

/** How a user names the proxy that is meant; all null: the one of this folder or, where there is no config, the only one. */
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
  const { meant, wanted } = choose(choice, all)
  if (meant.length === 1) return meant[0]!.socket
  if (meant.length > 1) throw new ControlError(`${meant.length} proxies are running; name one with -c FILE or --pid PID\n${list(meant)}`)
  if (all.length === 0) throw new ControlError(`no proxy ${wanted}`)
  throw new ControlError(`no proxy ${wanted}; name another with -c FILE or --pid PID\n${list(all)}`)
}

/** How long the first answer may take. A reload compiles and prepares; whoever waits for a drain has been told that it began. */
const firstAnswerMs: Readonly<Record<ControlRequest['do'], number>> = {
  status: 5_000,
  recall: 5_000,
  cache: 10_000,
  endpoints: 10_000,
  stop: 5_000,
  reload: 120_000,
  profile: 5_000,
}

/** What it answers, one after the other, until it has said all. */
export async function* ask(
  socket: string,
  request: ControlRequest,
  deadlineMs = firstAnswerMs[request.do],
): AsyncGenerator<ControlAnswer, void> {
  if (isForeign(socket)) throw new ControlError(foreignText(socket))
  const connection = net.connect(socket)
  const late = setTimeout(() => connection.destroy(new ControlError(`the proxy does not answer: ${socket}`)), deadlineMs)
  try {
    connection.write(encodeLine(request))
    for await (const line of linesOf(connection)) {
      clearTimeout(late)
      const answer = parseAnswer(line)
      if (answer === null) throw new ControlError(`${socket} does not answer as a proxy does`)
      if (answer.kind === 'error') throw new ControlError(answer.message)
      yield answer
    }
  } catch (error) {
    throw error instanceof ControlError ? error : new ControlError(describeFailure(socket, error as NodeJS.ErrnoException))
  } finally {
    clearTimeout(late)
    connection.destroy()
  }
}

async function* linesOf(connection: net.Socket): AsyncGenerator<string, void> {
  let text = ''
  for await (const chunk of connection.setEncoding('utf8')) {
    const lines = (text + chunk).split('\n')
    text = lines.pop()!
    yield* lines
  }
}

/** The one answer to a request that has one. */
export async function askOnce<Kind extends ControlAnswer['kind']>(
  socket: string,
  request: ControlRequest,
  kind: Kind,
  deadlineMs?: number,
): Promise<Extract<ControlAnswer, { kind: Kind }>> {
  for await (const answer of ask(socket, request, deadlineMs)) {
    // The kind decides which of the answers it is.
    if (answer.kind === kind) return answer as Extract<ControlAnswer, { kind: Kind }>
  }
  throw new ControlError('the proxy ended before it answered')
}

interface Chosen {
  readonly meant: readonly RunningProxy[]
  /** After `no proxy`, if none is. */
  readonly wanted: string
}

function choose({ config, pid }: Choice, all: readonly RunningProxy[]): Chosen {
  if (pid !== null) return { meant: all.filter((proxy) => proxy.pid === pid), wanted: `has the pid ${pid}` }
  const running = (file: string): RunningProxy[] => all.filter((proxy) => proxy.config === file || proxy.config === configPlace(file))
  if (config !== null) return { meant: running(config), wanted: `runs ${config}` }
  const here = running('proxy.config.ts')
  // In the folder of one project, the proxy of another is not meant.
  if (here.length > 0 || existsSync('proxy.config.ts')) return { meant: here, wanted: `runs the proxy.config.ts of this folder` }
  return { meant: all, wanted: 'is running' }
}

function list(proxies: readonly RunningProxy[]): string {
  const width = Math.max(...proxies.map(({ pid }) => String(pid).length))
  return proxies.map(({ pid, config }) => `  pid ${String(pid).padEnd(width)}  ${config}`).join('\n')
}

function describeFailure(socket: string, { code, message }: NodeJS.ErrnoException): string {
  if (code === 'ENOENT' || code === 'ECONNREFUSED') return `no proxy listens on ${socket}`
  if (code === 'EACCES' || code === 'EPERM') return foreignText(socket)
  return `${socket}: ${message}`
}

/** Whoever made it may answer anything: that the config to explain by is a program of his, for one. */
function isForeign(socket: string): boolean {
  const owner = statSync(socket, { throwIfNoEntry: false })?.uid
  return owner !== undefined && process.getuid !== undefined && owner !== process.getuid()
}

function foreignText(socket: string): string {
  return `${socket} belongs to another user: run this as the user that started the proxy`
}
