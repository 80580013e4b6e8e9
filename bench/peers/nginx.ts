/** nginx, alone and with its two script modules, doing what Sluice does: keep-alive both sides, X-Forwarded-*, Via to the origin. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { certificate } from '../certificate.ts'
import { BLOCKED_AGENTS } from '../lanes.ts'
import { isInstalled, start } from '../processes.ts'
import type { Subject, SubjectOptions } from './subject.ts'

type Script = 'none' | 'njs' | 'lua'
const MODULES = '/usr/lib/nginx/modules'
const agents = BLOCKED_AGENTS.map((agent) => JSON.stringify(agent)).join(', ')

export function nginx(script: Script): Subject {
  return {
    missing: () => missingPart(script),
    start: (options) => {
      const conf = join(options.home, 'nginx.conf')
      mkdirSync(options.home, { recursive: true })
      writeFileSync(join(options.home, 'plugin.js'), njsScript)
      writeFileSync(conf, options.lane.relays ? streamConfig(options) : nginxConfig(options, options.lane.plugin ? script : 'none'))
      return start(['nginx', '-p', options.home, '-c', conf, '-e', join(options.home, 'error.log')], { cores: options.cores })
    },
  }
}

/** `load_module …;`, or nothing when it is not installed. */
export function moduleLine(name: string): string {
  return existsSync(`${MODULES}/${name}.so`) ? `load_module ${MODULES}/${name}.so;\n` : ''
}

function missingPart(script: Script): string | null {
  if (!isInstalled('nginx')) return 'nginx is not installed (apt-get install nginx)'
  if (script === 'njs' && moduleLine('ngx_http_js_module') === '') return 'njs is not installed (apt-get install libnginx-mod-http-js)'
  if (script === 'lua' && moduleLine('ngx_http_lua_module') === '') return 'Lua is not installed (apt-get install libnginx-mod-http-lua)'
  return null
}

function nginxConfig({ lane, port, originPort, accessLog, home }: SubjectOptions, script: Script): string {
  const log = `log_format json escape=json '{"time":"$time_iso8601","ip":"$remote_addr","method":"$request_method","host":"$host","path":"$uri",'
    '"status":$status,"bytesIn":$request_length,"bytesOut":$body_bytes_sent,"seconds":$request_time,"upstream":"$upstream_addr",'
    '"upstreamSeconds":"$upstream_response_time","agent":"$http_user_agent","referer":"$http_referer","id":"$request_id"}';`
  return `${script === 'njs' ? moduleLine('ngx_http_js_module') : ''}${script === 'lua' ? moduleLine('ndk_http_module') + moduleLine('ngx_http_lua_module') : ''}
${process.getuid?.() === 0 ? 'user root;' : ''}
daemon off; pid ${home}/nginx.pid; worker_processes ${lane.workers}; worker_rlimit_nofile 65536;
events { worker_connections 20000; multi_accept on; }
http {
  ${log}
  access_log ${accessLog ? `${home}/access.log json buffer=64k flush=1s` : 'off'};
  tcp_nodelay on; keepalive_timeout 300; keepalive_requests 100000000; client_max_body_size 0;
  client_body_temp_path ${home}/body; proxy_temp_path ${home}/proxy; fastcgi_temp_path ${home}/f; uwsgi_temp_path ${home}/u; scgi_temp_path ${home}/s;
  ${script === 'njs' ? `js_import plugin from ${home}/plugin.js; js_set $tag plugin.tag;` : ''}
  ${script === 'lua' ? `init_by_lua_block { agents = { ${agents} } }` : ''}
  ${lane.plugin && script === 'none' ? `map $http_user_agent $blocked { default 0; ~(${BLOCKED_AGENTS.join('|')}) 1; }` : ''}
  ${lane.cached ? `proxy_cache_path ${home}/cache levels=1:2 keys_zone=bench:10m max_size=256m inactive=1h use_temp_path=off;` : ''}
  upstream origin { server 127.0.0.1:${originPort}; keepalive 64; keepalive_requests 100000000; keepalive_timeout 300s; }
  server {
    listen 127.0.0.1:${port} backlog=4096 reuseport${lane.tls === 'none' ? '' : ' ssl'}${lane.streams > 0 ? ' http2' : ''};
    ${lane.tls === 'none' ? '' : tlsLines()}
    http2_max_concurrent_streams 128;
    location / {
      proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host $http_host; proxy_set_header Via "1.1 nginx";
      proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $http_host;
      client_body_buffer_size 256k; proxy_max_temp_file_size 0; proxy_buffer_size 16k; proxy_buffers 16 16k; proxy_busy_buffers_size 64k;
      ${lane.plugin ? pluginLines(script) : ''}
      ${lane.cached ? 'proxy_cache bench; proxy_cache_valid 200 10m; proxy_cache_lock on; add_header X-Cache $upstream_cache_status;' : ''}
    }
  }
}
`
}

function tlsLines(): string {
  const { cert, key } = certificate()
  return `ssl_certificate ${cert}; ssl_certificate_key ${key}; ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets on;`
}

function streamConfig({ port, originPort, home, lane }: SubjectOptions): string {
  return `${moduleLine('ngx_stream_module')}
${process.getuid?.() === 0 ? 'user root;' : ''}
daemon off; pid ${home}/nginx.pid; worker_processes ${lane.workers}; worker_rlimit_nofile 65536;
events { worker_connections 20000; multi_accept on; }
stream {
  tcp_nodelay on; proxy_buffer_size 64k;
  server { listen 127.0.0.1:${port} backlog=4096 reuseport; proxy_pass 127.0.0.1:${originPort}; }
}
`
}

function pluginLines(script: Script): string {
  if (script === 'njs') return 'if ($tag = "") { return 403 "no bots\\n"; } proxy_set_header X-Tag $tag; js_header_filter plugin.mark;'
  if (script === 'none')
    return 'if ($blocked) { return 403 "no bots\\n"; } proxy_set_header X-Tag v1-$uri; add_header X-Proxy bench always;'
  return `access_by_lua_block {
        local agent = ngx.var.http_user_agent or ""
        for i = 1, #agents do
          if string.find(agent, agents[i], 1, true) then ngx.status = 403 ngx.print("no bots\\n") return ngx.exit(403) end
        end
        ngx.req.set_header("X-Tag", "v1-" .. ngx.var.uri)
      }
      header_filter_by_lua_block { ngx.header["X-Proxy"] = "bench" }`
}

const njsScript = `const agents = [${agents}]
function tag(r) {
  const agent = r.headersIn['User-Agent'] || ''
  if (agents.some((bad) => agent.includes(bad))) return ''
  return 'v1-' + r.uri
}
function mark(r) { r.headersOut['X-Proxy'] = 'bench' }
export default { tag, mark }
`
