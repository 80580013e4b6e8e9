/** Load from wrk, or from h2load where HTTP/2 is spoken: 64 requests under way from one thread, and what it counted. */
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Lane, USER_AGENT } from './lanes.ts'
import { adopt, folder } from './processes.ts'
import { ENTITY_TAG, knownUrls, urlScript } from './urls.ts'

export interface Load {
  readonly requests: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Answers that were not 2xx or 3xx, and socket errors. */
  readonly errors: number
}

export interface LoadOptions {
  readonly port: number
  readonly lane: Lane
  readonly seconds: number
  readonly cores: string
  readonly connections?: number | undefined
}

export async function runLoad(options: LoadOptions): Promise<Load> {
  const { lane, port, seconds, cores, connections = 64 } = options
  if (lane.streams > 0) return await multiplex(options)
  const args = ['-c', cores, 'wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '--latency', '--timeout', '10s']
  args.push('-H', `User-Agent: ${USER_AGENT}`, '-H', 'Accept: */*')
  if (lane.newConnections) args.push('-H', 'Connection: close')
  if (lane.asks === 'again') args.push('-H', `If-None-Match: ${ENTITY_TAG}`)
  const script = lane.uploadBytes > 0 ? uploadScript(lane.uploadBytes) : urlScript(lane)
  if (script !== null) args.push('-s', script)
  if (lane.tls === 'resumed') return await resume(options)
  const scheme = lane.tls === 'none' ? 'http' : 'https'
  return readReport(await output('taskset', [...args, `${scheme}://127.0.0.1:${port}${lane.path}`]))
}

/** By h2load, as many requests under way as wrk has. It tells no percentiles. */
async function multiplex({ lane, port, seconds, cores, connections = 64 }: LoadOptions): Promise<Load> {
  const { streams, uploadBytes, path } = lane
  const args = ['-c', cores, 'h2load', '-t1', `-c${connections / streams}`, `-m${streams}`, `-D${seconds}`]
  args.push('-H', `user-agent: ${USER_AGENT}`, '-H', 'accept: */*')
  if (uploadBytes > 0) args.push('-d', uploadFile(uploadBytes))
  const report = await output('taskset', [...args, `https://127.0.0.1:${port}${path}`])
  const number = (pattern: RegExp): number => Number(pattern.exec(report)?.[1] ?? 0)
  const [done, good] = [number(/(\d+) done,/), number(/status codes: (\d+) 2xx/)]
  return { requests: done, perSecond: done / seconds, p50Ms: Number.NaN, p99Ms: Number.NaN, errors: done - good + number(/(\d+) errored/) }
}

/** Each of a lane's known URLs once, so that a cache has them all, however fast it is. */
export async function askKnown({ lane, port, cores }: Omit<LoadOptions, 'seconds'>): Promise<void> {
  const { file, count } = knownUrls(lane, port)
  const report = await output('taskset', ['-c', cores, 'h2load', '--h1', '-t1', '-c1', `-n${count}`, '-i', file])
  if (!report.includes(`status codes: ${count} 2xx`)) throw new Error(`not all of ${count} URLs were answered: ${report}`)
}

function uploadFile(bytes: number): string {
  const path = join(folder, `upload-${bytes}`)
  writeFileSync(path, Buffer.alloc(bytes, 'x'))
  return path
}

/** One connection after the other, by `openssl s_time`: wrk does not resume sessions. */
async function resume({ lane, port, seconds, cores }: LoadOptions): Promise<Load> {
  const options = `s_time -connect 127.0.0.1:${port} -www ${lane.path} -reuse -tls1_2 -time ${Math.ceil(seconds)}`.split(' ')
  const report = await output('taskset', ['-c', cores, 'openssl', ...options])
  const reused = report.slice(report.lastIndexOf('connections in') - 10)
  const [requests, took] = [
    Number(/(\d+) connections in/.exec(reused)?.[1] ?? 0),
    Number(/connections in (\d+) real/.exec(reused)?.[1] ?? 1),
  ]
  return { requests, perSecond: requests / took, p50Ms: Number.NaN, p99Ms: Number.NaN, errors: requests === 0 ? 1 : 0 }
}

function uploadScript(bytes: number): string {
  const path = join(folder, `upload-${bytes}.lua`)
  writeFileSync(path, `wrk.method = "POST"\nwrk.body = string.rep("x", ${bytes})\n`)
  return path
}

function output(command: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = adopt(spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] }))
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      text += part
    })
    child.once('error', reject)
    child.once('close', (code) => {
      if (code === 0) resolve(text)
      else reject(new Error(`${command} ended with ${code}: ${text}`))
    })
  })
}

function readReport(report: string): Load {
  const number = (pattern: RegExp): number => Number(pattern.exec(report)?.[1] ?? 0)
  const socketErrors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(report)?.slice(1) ?? []
  return {
    requests: number(/(\d+) requests in/),
    perSecond: number(/Requests\/sec:\s+([\d.]+)/),
    p50Ms: milliseconds(/ 50%\s+([\d.]+)(us|ms|s)/.exec(report)),
    p99Ms: milliseconds(/ 99%\s+([\d.]+)(us|ms|s)/.exec(report)),
    errors: number(/Non-2xx or 3xx responses: (\d+)/) + socketErrors.reduce((sum, count) => sum + Number(count), 0),
  }
}

function milliseconds(match: RegExpExecArray | null): number {
  if (match === null) return Number.NaN
  return Number(match[1]) * (match[2] === 'us' ? 0.001 : match[2] === 's' ? 1_000 : 1)
}
