/** Varnish doing what Sluice and nginx do out of a cache: 256 MB of memory, ten minutes, X-Forwarded-* and Via to the origin. Its log is varnishncsa's. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isInstalled, start } from '../processes.ts'
import type { Subject, SubjectOptions } from './subject.ts'

export const varnish: Subject = {
  missing: () => {
    if (!isInstalled('varnishd')) return 'Varnish is not installed (apt-get install varnish)'
    return isInstalled('cc') ? null : 'Varnish compiles its configuration with cc, which is not installed (apt-get install gcc libc6-dev)'
  },
  start: (options) => {
    mkdirSync(options.home, { recursive: true })
    const vcl = join(options.home, 'bench.vcl')
    writeFileSync(vcl, varnishConfig(options.originPort))
    const command = ['varnishd', ...varnishArguments(options, vcl)]
    // One tree of processes, so that the log's CPU counts, and ends with it.
    if (options.accessLog) command.unshift('sh', '-c', `${logCommand(options.home)} & exec "$@"`, 'sh')
    return start(command, { cores: options.cores })
  },
}

function varnishArguments({ lane, port, home }: SubjectOptions, vcl: string): string[] {
  // As many threads at the least as at the most: what a thread has used is not counted any more when it has ended. A connection of the load has one, a fetch another.
  const parameters = ['thread_pools=1', `thread_pool_min=${200 * lane.workers}`, `thread_pool_max=${200 * lane.workers}`]
  parameters.push('default_grace=0', 'default_keep=0', 'http_gzip_support=off', 'timeout_idle=300')
  // Without its jail, which would be another user's, and may not read this folder.
  const jail = process.getuid?.() === 0 ? ['-j', 'none'] : []
  const options = ['-F', '-n', join(home, 'varnish'), '-a', `127.0.0.1:${port}`, '-f', vcl, '-s', 'malloc,256m', '-t', '600']
  return [...jail, ...options, ...parameters.flatMap((parameter) => ['-p', parameter])]
}

function logCommand(home: string): string {
  const format =
    '{"time":"%t","ip":"%h","method":"%m","host":"%{Host}i","path":"%U","status":%s,"bytesIn":%I,"bytesOut":%O,"us":%D,"cache":"%{Varnish:handling}x","agent":"%{User-Agent}i"}'
  return `varnishncsa -t off -j -n ${home}/varnish -F '${format}' -w ${home}/access.log`
}

function varnishConfig(originPort: number): string {
  return `vcl 4.1;
backend origin { .host = "127.0.0.1"; .port = "${originPort}"; .max_connections = 256; }
sub vcl_miss {
  set req.http.X-Forwarded-For = client.ip;
  set req.http.X-Forwarded-Proto = "http";
  set req.http.X-Forwarded-Host = req.http.Host;
  set req.http.Via = "1.1 varnish";
}
`
}
