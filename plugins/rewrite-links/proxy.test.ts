/** Links that an endpoint sends in pieces, compressed or not, as a client reads them behind a real proxy. */
import { fileURLToPath } from 'node:url'
import { gunzipSync, gzipSync } from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { request } from '../../test/support/client.ts'
import { startOrigin } from '../../test/support/origin.ts'
import { startProxy } from '../../test/support/proxy.ts'
import { Sandboxed } from '../../test/support/sandboxed.ts'

const file = fileURLToPath(new URL('./index.ts', import.meta.url))
const options = { links: { 'app.internal:8080': 'https://www.example.com' } }
const PAGE = '<p>häßlich <a href="http://app.internal:8080/ü">😀</a> //app.internal:8080/x.css\n'.repeat(50)
const WANTED = PAGE.replaceAll('http://app.internal:8080', 'https://www.example.com').replaceAll('//app.internal:8080', '//www.example.com')

/** The page in chunks of so many bytes. */
function chunked(size: number): Buffer {
  const bytes = Buffer.from(PAGE)
  const parts: Buffer[] = [Buffer.from('HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n')]
  for (let at = 0; at < bytes.length; at += size) {
    const part = bytes.subarray(at, at + size)
    parts.push(Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from('\r\n'))
  }
  return Buffer.concat([...parts, Buffer.from('0\r\n\r\n')])
}

test('a page is rewritten however it comes, and everything else is left alone', async () => {
  const sandboxed = await Sandboxed.create('worker')
  const hook = await sandboxed.load(file, { options, grant: ['response.body'], timeoutMs: 1000 })
  const gzipped = gzipSync(PAGE)
  const answers: Readonly<Record<string, Buffer>> = {
    '/1': chunked(1),
    '/7': chunked(7),
    '/length': Buffer.from(`HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: ${Buffer.byteLength(PAGE)}\r\n\r\n${PAGE}`),
    '/gzip': Buffer.concat([
      Buffer.from(`HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\nContent-Length: ${gzipped.length}\r\n\r\n`),
      gzipped,
    ]),
    '/octets': Buffer.from(
      `HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: ${Buffer.byteLength(PAGE)}\r\n\r\n${PAGE}`,
    ),
    '/moved': Buffer.from('HTTP/1.1 302 Found\r\nLocation: http://app.internal:8080/in\r\nContent-Length: 0\r\n\r\n'),
  }
  await using origin = await startOrigin((req) => answers[req.target])
  await using proxy = await startProxy({ origin, routes: [{ hooks: [hook] }] })
  const get = (path: string) =>
    request(proxy.port, `GET ${path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n`, { deadlineMs: 20_000 })
  for (const path of ['/1', '/7', '/length', '/gzip']) {
    const { status, headers, body } = await get(path)
    assert.is(status, 200, path)
    const text = headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body
    assert.is(text.toString(), WANTED, path)
  }
  assert.is((await get('/octets')).body.toString(), PAGE)
  assert.is((await get('/moved')).headers.location, 'https://www.example.com/in')
  await sandboxed.close()
})

test.run()
