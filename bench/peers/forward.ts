/** Forward proxies doing the same: tunnels by CONNECT, or by SOCKS5, to the origin on this machine, nobody asked who it is, nothing logged. */
import type { ChildProcess } from 'node:child_process'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { folder, isInstalled, start } from '../processes.ts'
import { sluiceCommand } from './sluice.ts'

export type Way = 'connect' | 'socks'

export interface ForwardOptions {
  readonly port: number
  readonly originPort: number
  readonly cores: string
  /** A folder of its own. */
  readonly home: string
}

export interface ForwardPeer {
  readonly name: string
  readonly way: Way
  /** Why it cannot run here; null if it can. */
  readonly missing: () => string | null
  readonly start: (options: ForwardOptions) => ChildProcess
}

const needs = (command: string, packageName: string) => () =>
  isInstalled(command) ? null : `it is not installed (apt-get install ${packageName})`

export const forwardPeers: readonly ForwardPeer[] = [
  { name: 'tinyproxy', way: 'connect', missing: needs('tinyproxy', 'tinyproxy'), start: startTinyproxy },
  { name: 'squid', way: 'connect', missing: needs('squid', 'squid'), start: startSquid },
  { name: 'Sluice', way: 'connect', missing: () => null, start: (options) => startSluice('forward', options) },
  { name: 'danted', way: 'socks', missing: needs('danted', 'dante-server'), start: startDanted },
  { name: 'Sluice', way: 'socks', missing: () => null, start: (options) => startSluice('socks', options) },
]

function startSluice(kind: 'forward' | 'socks', { port, originPort, cores, home }: ForwardOptions): ChildProcess {
  const options = `listen: '127.0.0.1:${port}', allow: { ports: [${originPort}], networks: ['127.0.0.1'] }`
  const config = written(
    home,
    'proxy.config.ts',
    `import { defineConfig, ${kind} } from 'sluice'
export default defineConfig({ log: { access: false }, listeners: { out: ${kind}({ ${options} }) } })
`,
  )
  return start([...sluiceCommand(), 'run', '-c', config, '--workers', '1', '--no-watch'], { cores, cwd: home })
}

function startTinyproxy({ port, originPort, cores, home }: ForwardOptions): ChildProcess {
  const lines = [`Port ${port}`, 'Listen 127.0.0.1', `ConnectPort ${originPort}`, 'Allow 127.0.0.1', 'MaxClients 1000', 'LogLevel Critical']
  return start(['tinyproxy', '-d', '-c', written(home, 'tinyproxy.conf', `${lines.join('\n')}\n`)], { cores })
}

/** It gives up root, and wants to read what is its own all the same. */
function startSquid({ port, cores, home }: ForwardOptions): ChildProcess {
  const lines = [
    ...[`http_port 127.0.0.1:${port}`, 'http_access allow all', 'cache deny all', 'access_log none', 'cache_log stdio:/dev/null'],
    ...['pid_filename none', 'visible_hostname bench', 'shutdown_lifetime 0 seconds', 'max_filedescriptors 4096', 'pinger_enable off'],
  ]
  const config = written(home, 'squid.conf', `${lines.join('\n')}\n`)
  for (const one of [folder, home]) chmodSync(one, 0o755)
  return start(['squid', '-N', '-f', config], { cores })
}

function startDanted({ port, cores, home }: ForwardOptions): ChildProcess {
  const rule = (kind: string) => `${kind} pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }`
  const lines = [
    ...['logoutput: /dev/null', `internal: 127.0.0.1 port = ${port}`, 'external: 127.0.0.1', 'clientmethod: none', 'socksmethod: none'],
    ...[rule('client'), rule('socks')],
  ]
  return start(['danted', '-f', written(home, 'danted.conf', `${lines.join('\n')}\n`)], { cores })
}

function written(home: string, name: string, text: string): string {
  mkdirSync(home, { recursive: true })
  const path = join(home, name)
  writeFileSync(path, text)
  return path
}
