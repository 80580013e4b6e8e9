/**
 * Where the control sockets of a user's running proxies lie, each with a small description beside it. Only in a folder that is the
 * user's own and that nobody else can write: whoever could put a socket there would be taken for the proxy.
 */
import { createHash } from 'node:crypto'
import { lstatSync, mkdirSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import net from 'node:net'
import path from 'node:path'

/** What is known of a proxy without asking it. */
export interface ProxyDescription {
  readonly pid: number
  /** The absolute path of the config, or the URL that it was started with. */
  readonly config: string
  /** ISO 8601. */
  readonly startedAt: string
  readonly version: string
}

export interface RunningProxy extends ProxyDescription {
  readonly socket: string
}

/** sun_path holds 108 bytes on Linux and 104 elsewhere, the final zero included. */
const maxSocketPathBytes = process.platform === 'linux' ? 107 : 103

/** The folders to look for sockets in, the best first; a proxy takes the first that can be used. */
export function controlFolders(env: NodeJS.ProcessEnv = process.env, uid: number | null = ownUid()): string[] {
  if (uid === null) return []
  const runtime = env.XDG_RUNTIME_DIR || `/run/user/${uid}`
  const first = path.isAbsolute(runtime) && whyUnsafe(runtime, uid) === null ? [path.join(runtime, 'sluice')] : []
  return [...first, `/tmp/sluice-${uid}`]
}

/** Why nothing may be put there, or null. Creates it where it is missing. */
export function prepareFolder(folder: string, uid: number | null = ownUid()): string | null {
  try {
    mkdirSync(folder, { mode: 0o700 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return `${folder} cannot be made: ${(error as Error).message}`
  }
  return whyUnsafe(folder, uid)
}

/** The config's absolute path, one for each file however it was named. A symlink in the last place is kept: its target may change. */
export function configPlace(file: string): string {
  const absolute = path.resolve(file)
  try {
    return path.join(realpathSync(path.dirname(absolute)), path.basename(absolute))
  } catch {
    return absolute
  }
}

/** The name of a proxy's socket, without its ending. */
export function socketName(config: string, pid: number): string {
  return `${createHash('sha256').update(config).digest('hex').slice(0, 8)}-${pid}`
}

export function descriptionOf(socket: string): string {
  return socket.replace(/(\.sock)?$/, '.json')
}

export function isTooLong(socket: string): boolean {
  return Buffer.byteLength(socket) > maxSocketPathBytes
}

/** The proxies that answer; what dead ones left behind is removed. */
export async function findRunning(folders: readonly string[] = controlFolders()): Promise<RunningProxy[]> {
  const found = await Promise.all(folders.filter((folder) => whyUnsafe(folder) === null).flatMap((folder) => socketsIn(folder).map(look)))
  return found.filter((proxy) => proxy !== null).sort((a, b) => a.pid - b.pid)
}

/** Whether somebody listens on a socket. */
export function isAnswered(socket: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const connection = net.connect(socket)
  connection.once('connect', () => resolve(true))
  // A full queue is somebody's queue.
  connection.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code === 'EAGAIN'))
  return promise.finally(() => connection.destroy())
}

function socketsIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => /^[0-9a-f]{8}-\d+(-\d+)?\.sock$/.test(name))
    .map((name) => path.join(folder, name))
}

async function look(socket: string): Promise<RunningProxy | null> {
  if (await isAnswered(socket)) {
    const description = readDescription(descriptionOf(socket))
    return description === null ? null : { ...description, socket }
  }
  // Just made, and not listening yet? Then its process lives.
  const pid = Number(/-(\d+)(-\d+)?\.sock$/.exec(socket)?.[1])
  if (!isAlive(pid)) for (const file of [socket, descriptionOf(socket)]) rmSync(file, { force: true })
  return null
}

function readDescription(file: string): ProxyDescription | null {
  try {
    const { pid, config, startedAt, version } = JSON.parse(readFileSync(file, 'utf8')) as Partial<ProxyDescription>
    if (typeof pid !== 'number' || typeof config !== 'string') return null
    return { pid, config, startedAt: String(startedAt), version: String(version) }
  } catch {
    return null
  }
}

function whyUnsafe(folder: string, uid: number | null = ownUid()): string | null {
  try {
    const stat = lstatSync(folder)
    if (!stat.isDirectory()) return `${folder} is ${stat.isSymbolicLink() ? 'a symbolic link' : 'not a folder'}`
    if (stat.uid !== uid) return `${folder} belongs to another user`
    return (stat.mode & 0o022) === 0 ? null : `others may write to ${folder}`
  } catch (error) {
    return (error as Error).message
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** null where users have no number, and sockets no owner. */
function ownUid(): number | null {
  return process.getuid?.() ?? null
}
