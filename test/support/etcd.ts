/** A real etcd for tests, of one member, in a folder of its own. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Pair } from './certificates.ts'
import { Waiting } from './deadline.ts'
import { freePort } from './process.ts'

/** Debian's package `etcd-server`. */
export function hasEtcd(): boolean {
  try {
    execFileSync('etcd', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    console.log('SKIPPED: there is no `etcd` command (Debian: apt-get install etcd-server)')
    return false
  }
}

export class EtcdServer implements AsyncDisposable {
  readonly url: string
  readonly #args: readonly string[]
  readonly #folder = mkdtempSync(join(tmpdir(), 'sluice-etcd-'))
  readonly #waiting = new Waiting()
  #child: ChildProcess | null = null
  #output = ''

  /** `tls`: speaks HTTPS with this pair. */
  static async start(tls?: Pair): Promise<EtcdServer> {
    const server = new EtcdServer(await freePort(), await freePort(), tls)
    await server.start()
    return server
  }

  private constructor(port: number, peer: number, tls?: Pair) {
    this.url = `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`
    const own = `http://127.0.0.1:${peer}`
    this.#args = [
      ...['--data-dir', this.#folder, '--unsafe-no-fsync', '--log-level', 'info', '--heartbeat-interval', '5', '--election-timeout', '50'],
      ...['--listen-client-urls', this.url, '--advertise-client-urls', this.url],
      ...['--listen-peer-urls', own, '--initial-advertise-peer-urls', own, '--initial-cluster', `default=${own}`],
      ...(tls === undefined ? [] : ['--cert-file', tls.certFile, '--key-file', tls.keyFile]),
    ]
  }

  /** Also after `stop`: with what it had. */
  async start(): Promise<void> {
    this.#output = ''
    const child = spawn('etcd', this.#args, { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child = child
    for (const stream of [child.stdout!, child.stderr!])
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text
        this.#waiting.poke()
      })
    await this.#waiting.until(
      () => (this.#output.includes('serving client') || this.#output.includes('ready to serve client requests') ? true : undefined),
      () => this.#output,
      20_000,
    )
  }

  /** Forgets all it had, and is another cluster when it starts again. */
  clear(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }

  async put(key: string, value: string, lease?: string): Promise<void> {
    await this.call('/v3/kv/put', { key: base64(key), value: base64(value), ...(lease === undefined ? {} : { lease }) })
  }
  async delete(key: string): Promise<void> {
    await this.call('/v3/kv/deleterange', { key: base64(key) })
  }

  async call(path: string, body: object, token = ''): Promise<Record<string, unknown>> {
    const headers = token === '' ? {} : { authorization: token }
    const response = await fetch(`${this.url}${path}`, { method: 'POST', body: JSON.stringify(body), headers })
    const answer = (await response.json()) as Record<string, unknown>
    if (!response.ok) throw new Error(`${path}: ${JSON.stringify(answer)}`)
    return answer
  }

  async stop(): Promise<void> {
    const child = this.#child
    if (child === null) return
    this.#child = null
    const ended = new Promise((resolve) => child.once('close', resolve))
    child.kill('SIGKILL')
    await ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

export function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}
