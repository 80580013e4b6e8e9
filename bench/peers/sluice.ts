/** Sluice as a user starts it: a config file, `run`, its access log on standard output. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { certificate } from '../certificate.ts'
import { BLOCKED_AGENTS, type Engine } from '../lanes.ts'
import { start } from '../processes.ts'
import type { Subject, SubjectOptions } from './subject.ts'

export const main: string = join(import.meta.dirname, '../../core/main.ts')

export function sluice(engine: Engine): Subject {
  return {
    missing: () => (existsSync(main) ? null : 'core/main.ts is not there'),
    start: (options) => {
      mkdirSync(join(options.home, 'plugins'), { recursive: true })
      const config = join(options.home, 'proxy.config.ts')
      writeFileSync(join(options.home, 'plugins/mark.ts'), plugin)
      writeFileSync(config, sluiceConfig(options, engine))
      const command = [...sluiceCommand(), 'run', '-c', config, '--workers', String(options.lane.workers), '--no-watch']
      return start(command, { cores: options.cores, cwd: options.home, stdout: join(options.home, 'access.log') })
    },
  }
}

/** The command line of a checkout; `SLUICE_NODE_FLAGS` for profiles. */
export function sluiceCommand(): string[] {
  return [process.execPath, ...(process.env.SLUICE_NODE_FLAGS?.split(' ') ?? []), main]
}

function sluiceConfig({ lane, port, originPort, accessLog }: SubjectOptions, engine: Engine): string {
  if (lane.relays) return relayConfig(port, originPort)
  const { cert, key } = lane.tls === 'none' ? { cert: '', key: '' } : certificate()
  const tls =
    cert === '' ? '' : `tls: { cert: ${JSON.stringify(cert)}, key: ${JSON.stringify(key)} }, limits: { requestsPerConnection: 1e9 },`
  const use = `use: [mark({ agents: ${JSON.stringify(BLOCKED_AGENTS)} }, { isolation: '${engine}' })],`
  const caching = lane.cached ? "use: [cache({ ttl: '10m', memory: '256mb' })]," : ''
  return `import { cache, defineConfig, http, upstream } from 'sluice'
${lane.plugin ? "import mark from './plugins/mark.ts'" : ''}
const origin = upstream('origin', { endpoints: ['127.0.0.1:${originPort}'] })
export default defineConfig({
  log: { access: ${accessLog} },
  listeners: { web: http({ listen: '127.0.0.1:${port}', ${tls} ${lane.plugin ? use : ''} ${caching} routes: [{ path: '/*', to: origin }] }) },
})
`
}

function relayConfig(port: number, originPort: number): string {
  return `import { defineConfig, tcp, upstream } from 'sluice'
const origin = upstream('origin', { endpoints: ['127.0.0.1:${originPort}'] })
export default defineConfig({ log: { access: false }, listeners: { edge: tcp({ listen: '127.0.0.1:${port}', routes: [{ to: origin }] }) } })
`
}

const plugin = `import { definePlugin, respond } from 'sluice/plugin'
export default definePlugin({
  name: 'mark',
  sees: ['user-agent'],
  setup({ agents }: { agents: string[] }) {
    return {
      onRequest(req) {
        const agent = req.headers.get('user-agent') ?? ''
        if (agents.some((bad) => agent.includes(bad))) return respond(403, 'no bots\\n')
        req.headers.set('x-tag', 'v1-' + req.path)
      },
      onResponse(res) { res.headers.set('x-proxy', 'bench') },
    }
  },
})
`
