/** Pebble, an authority for tests that speaks ACME; it looks for names at a name server of the test, and at ports of the test. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { issue, type Pair } from './certificates.ts'
import { Waiting } from './deadline.ts'
import { NameServer } from './name-server.ts'
import { freePort } from './process.ts'

/** Debian's package `pebble`. */
export function hasPebble(): boolean {
  try {
    // It ends at once, with its usage.
    execFileSync('pebble', ['-h'], { stdio: 'ignore' })
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ENOENT'
  }
}

export class Pebble implements AsyncDisposable {
  readonly directory: string
  readonly #child: ChildProcess
  /** Where it looks for names. */
  readonly names: NameServer
  readonly #folder: string
  readonly #waiting = new Waiting()
  #output = ''

  /** `ca`: signs its own certificate. It looks at 127.0.0.1, at these ports. */
  static async start(ca: Pair, ports: { readonly http: number; readonly tls: number }): Promise<Pebble> {
    const names = new NameServer()
    names.zone = { a: ['127.0.0.1'] }
    const server = await names.start()
    const pebble = new Pebble({ ca, ports, names, server, port: await freePort(), managementPort: await freePort() })
    await pebble.#waiting.until(
      () => (pebble.#output.includes('ACME directory available') ? true : undefined),
      () => pebble.#output,
      20_000,
    )
    return pebble
  }

  private constructor(parts: {
    readonly ca: Pair
    readonly ports: { readonly http: number; readonly tls: number }
    readonly names: NameServer
    readonly server: string
    readonly port: number
    readonly managementPort: number
  }) {
    const { ca, ports, names, server, port, managementPort } = parts
    this.directory = `https://localhost:${port}/dir`
    this.names = names
    this.#folder = mkdtempSync(join(tmpdir(), 'sluice-pebble-'))
    const own = issue('pebble', { names: 'DNS:localhost,IP:127.0.0.1', issuer: ca })
    const config = {
      ...{ listenAddress: `127.0.0.1:${port}`, managementListenAddress: `127.0.0.1:${managementPort}` },
      ...{ certificate: own.certFile, privateKey: own.keyFile, httpPort: ports.http, tlsPort: ports.tls },
    }
    const file = join(this.#folder, 'pebble.json')
    writeFileSync(file, JSON.stringify({ pebble: config }))
    const env = { ...process.env, PEBBLE_VA_NOSLEEP: '1' }
    this.#child = spawn('pebble', ['-config', file, '-dnsserver', server], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text
        this.#waiting.poke()
      })
    }
  }

  get output(): string {
    return this.#output
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('close', resolve))
    this.#child.kill('SIGKILL')
    await Promise.all([ended, this.names[Symbol.asyncDispose]()])
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
