/** A real redis-server for tests, in a folder of its own, that keeps nothing on disk. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Pair } from './certificates.ts'
import { Waiting } from './deadline.ts'
import { freePort } from './process.ts'

/** Debian's package `redis-server`. */
export function hasRedis(): boolean {
  try {
    execFileSync('redis-server', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    console.log('SKIPPED: there is no `redis-server` command (Debian: apt-get install redis-server)')
    return false
  }
}

export interface RedisOptions {
  readonly password?: string
  /** TLS by this pair. */
  readonly tls?: Pair
}

export class RedisServer implements AsyncDisposable {
  /** `redis://127.0.0.1:PORT`, with the password. */
  readonly url: string
  readonly port: number
  readonly #args: readonly string[]
  readonly #folder = mkdtempSync(join(tmpdir(), 'sluice-redis-'))
  readonly #waiting = new Waiting()
  #child: ChildProcess | null = null
  #output = ''

  static async start(options: RedisOptions = {}): Promise<RedisServer> {
    const server = new RedisServer(await freePort(), options)
    await server.start()
    return server
  }

  private constructor(port: number, { password, tls }: RedisOptions) {
    this.port = port
    const pass = password === undefined ? '' : `:${encodeURIComponent(password)}@`
    this.url = `${tls === undefined ? 'redis' : 'rediss'}://${pass}127.0.0.1:${port}`
    this.#args = [
      ...['--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', this.#folder],
      ...(password === undefined ? [] : ['--requirepass', password]),
      ...(tls === undefined
        ? ['--port', `${port}`]
        : ['--port', '0', '--tls-port', `${port}`, '--tls-cert-file', tls.certFile, '--tls-key-file', tls.keyFile]),
      ...(tls === undefined ? [] : ['--tls-ca-cert-file', tls.certFile, '--tls-auth-clients', 'no']),
    ]
  }

  /** Also after `stop`: on the same port, empty. */
  async start(): Promise<void> {
    this.#output = ''
    const child = spawn('redis-server', this.#args, { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child = child
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text
      this.#waiting.poke()
    })
    await this.#waiting.until(
      () => (this.#output.includes('eady to accept connections') ? true : undefined),
      () => this.#output,
      10_000,
    )
  }

  async stop(): Promise<void> {
    const child = this.#child
    if (child === null) return
    this.#child = null
    const ended = new Promise((resolve) => child.once('close', resolve))
    child.kill('SIGKILL')
    await ended
  }

  /** It accepts connections and says nothing, until `wake`. */
  freeze(): void {
    this.#child!.kill('SIGSTOP')
  }
  wake(): void {
    this.#child!.kill('SIGCONT')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
