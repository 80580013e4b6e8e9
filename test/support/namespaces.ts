/**
 * Three hosts of one machine for a test: a client and a server that see each other only through a third between them, in network namespaces of
 * their own (ip-netns(8)). Whatever was made is gone when the block ends.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { within } from './deadline.ts'

export type Host = 'client' | 'between' | 'server'

/** Null: they can be made here. */
export function whyNoNamespaces(): string | null {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'only root of Linux makes network namespaces'
  for (const command of ['ip', 'nft', 'curl'])
    if (spawnSync(command, ['--version']).error !== undefined) return `there is no \`${command}\` command`
  const name = `sl-try-${process.pid}`
  const made = spawnSync('ip', ['netns', 'add', name], { encoding: 'utf8' })
  if (made.status !== 0) return made.stderr.trim()
  spawnSync('ip', ['netns', 'del', name])
  return null
}

export class Namespaces implements AsyncDisposable {
  readonly client = '10.201.1.2'
  readonly server = '10.201.2.2'
  readonly #children: ChildProcess[] = []

  /** `hosts`: names that the one between knows, and nobody else. */
  constructor(hosts: readonly string[]) {
    const hostsFolder = `/etc/netns/${nameOf('between')}`
    mkdirSync(hostsFolder, { recursive: true })
    writeFileSync(`${hostsFolder}/hosts`, `127.0.0.1 localhost\n${hosts.map((name) => `${this.server} ${name}\n`).join('')}`)
    for (const host of HOSTS) {
      run('ip', 'netns', 'add', nameOf(host))
      this.run(host, 'ip', 'link', 'set', 'lo', 'up')
    }
    for (const [host, net] of [
      ['client', '10.201.1'],
      ['server', '10.201.2'],
    ] as const) {
      run('ip', 'link', 'add', 'up0', 'netns', nameOf(host), 'type', 'veth', 'peer', 'name', `to-${host}`, 'netns', nameOf('between'))
      this.run(host, 'ip', 'addr', 'add', `${net}.2/24`, 'dev', 'up0')
      this.run(host, 'ip', 'link', 'set', 'up0', 'up')
      this.run('between', 'ip', 'addr', 'add', `${net}.1/24`, 'dev', `to-${host}`)
      this.run('between', 'ip', 'link', 'set', `to-${host}`, 'up')
      this.run(host, 'ip', 'route', 'add', 'default', 'via', `${net}.1`)
    }
  }

  /** How to run something there. */
  by(host: Host): readonly string[] {
    return ['ip', 'netns', 'exec', nameOf(host)]
  }

  run(host: Host, ...command: readonly string[]): string {
    return run(...this.by(host), ...command)
  }

  /** What it prints, and its exit code, whatever that is. */
  async ask(host: Host, ...command: readonly string[]): Promise<{ readonly code: number | null; readonly text: string }> {
    const [program, ...words] = [...this.by(host), ...command]
    const child = spawn(program!, words, { stdio: ['ignore', 'pipe', 'pipe'] })
    let text = ''
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (piece: string) => {
        text += piece
      })
    const [code] = (await once(child, 'close')) as [number | null]
    return { code, text }
  }

  /** Runs on until the end; resolves once it has printed something. */
  async start(host: Host, ...command: readonly string[]): Promise<void> {
    const [program, ...words] = [...this.by(host), ...command]
    const child = spawn(program!, words, { stdio: ['ignore', 'pipe', 'inherit'] })
    this.#children.push(child)
    await within(once(child.stdout, 'data'), `${command[0]} does not say that it is ready`, 20_000)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) {
      const ended = child.exitCode === null ? once(child, 'close') : null
      child.kill('SIGKILL')
      await ended
    }
    for (const host of HOSTS) spawnSync('ip', ['netns', 'del', nameOf(host)])
    rmSync(`/etc/netns/${nameOf('between')}`, { recursive: true, force: true })
  }
}

const HOSTS: readonly Host[] = ['client', 'between', 'server']

function nameOf(host: Host): string {
  return `sl-${host}-${process.pid}`
}

function run(...command: readonly string[]): string {
  const [program, ...words] = command
  return execFileSync(program!, words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}
