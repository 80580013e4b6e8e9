/** The origin of a measurement: one nginx worker with answers of fixed sizes, and a sink that reads a whole body before it answers; it counts what it is asked. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { moduleLine } from './peers/nginx.ts'
import { accepting, folder, freePort, start } from './processes.ts'
import { ENTITY_TAG } from './urls.ts'

export interface OriginAddress {
  readonly port: number
}

export async function startOrigin(cores: string): Promise<OriginAddress> {
  const port = await freePort()
  const home = join(folder, 'origin')
  mkdirSync(join(home, 'files'), { recursive: true })
  writeFileSync(join(home, 'files/10k'), Buffer.alloc(10_240, 'x'))
  writeFileSync(join(home, 'files/tagged'), Buffer.alloc(10_240, 'x'))
  writeFileSync(join(home, 'files/1m'), Buffer.alloc(1_048_576, 'x'))
  writeFileSync(join(home, 'nginx.conf'), originConfig(home, port))
  const child = start(['nginx', '-p', home, '-c', join(home, 'nginx.conf'), '-e', join(home, 'error.log')], { cores })
  await accepting(child, port)
  return { port }
}

/** Requests that the origin has had so far, with each call of this one. */
export async function requestsOf(port: number): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${port}/requests`)).text()
  return Number(/^ \d+ \d+ (\d+)/m.exec(text)?.[1] ?? Number.NaN)
}

function originConfig(home: string, port: number): string {
  return `${moduleLine('ndk_http_module')}${moduleLine('ngx_http_lua_module')}
${process.getuid?.() === 0 ? 'user root;' : ''}
daemon off; pid ${home}/nginx.pid; worker_processes 1; worker_rlimit_nofile 65536;
events { worker_connections 20000; multi_accept on; }
http {
  access_log off; sendfile on; tcp_nopush on; keepalive_timeout 300; keepalive_requests 100000000;
  client_body_temp_path ${home}/body; proxy_temp_path ${home}/proxy; fastcgi_temp_path ${home}/f; uwsgi_temp_path ${home}/u; scgi_temp_path ${home}/s;
  client_body_buffer_size 1m; client_max_body_size 0; open_file_cache max=10; default_type text/plain; lua_shared_dict unused 12k;
  server {
    listen 127.0.0.1:${port} backlog=4096 reuseport;
    location = /small { return 200 "${'x'.repeat(95)}"; }
    location = /upload { content_by_lua_block { ngx.req.read_body() ngx.header["Content-Length"] = 2 ngx.print("ok") } }
    location = /requests { stub_status; }
    location ~ ^/bytes/(\\d+)$ { content_by_lua_block { ngx.header["Content-Length"] = ngx.var[1] ngx.print(string.rep("x", tonumber(ngx.var[1]))) } }
    location = /tagged { root ${home}/files; etag off; add_header ETag '${ENTITY_TAG}'; }
    location / { root ${home}/files; }
  }
}
`
}
