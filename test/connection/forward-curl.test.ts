/** A real client, curl: it finds its way through a forward proxy by URL, by CONNECT, with TLS inside, and with a name and password. */
import { execFile, execFileSync } from 'node:child_process'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { withCertificates } from '../support/certificates.ts'
import { forwarding } from '../support/forward.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'

const hasCurl = canRun('curl')
const curled = hasCurl ? test : test.skip

interface Curled {
  readonly code: number
  readonly out: string
}

/** Its answer, then its status code on the last line. */
function curl(...args: readonly string[]): Promise<Curled> {
  const all = ['-s', '--max-time', '5', '--noproxy', '', '-w', '\n%{http_code} %{http_connect}', ...args]
  return new Promise((resolve) => execFile('curl', all, (error, out) => resolve({ code: Number(error?.code ?? 0), out })))
}

curled('curl -x asks for a URL; --proxytunnel takes a tunnel for the same', async () => {
  await using origin = await startOrigin((request) => answer(`${request.method} ${request.target}`))
  await using proxy = await startProxy(forwarding({}, [origin.port]))
  const x = `http://127.0.0.1:${proxy.port}`
  const url = `http://localhost:${origin.port}/a?b`
  assert.equal(await curl('-x', x, url), { code: 0, out: 'GET /a?b\n200 000' })
  assert.equal(await curl('-x', x, '--proxytunnel', url), { code: 0, out: 'GET /a?b\n200 200' })
  assert.match((await curl('-x', x, '-I', url)).out, /^HTTP\/1\.1 200 OK\r\nContent-Length: 9\r\n.*\n200 000$/s)
  await proxy.exchange(3)
  assert.equal(
    proxy.ended.map(({ method, status }) => `${method} ${status}`),
    ['GET 200', 'CONNECT 200', 'HEAD 200'],
  )
})

curled('curl -x -U: the right password is let in, another and none are not', async () => {
  await using origin = await startOrigin(() => answer('in'))
  await using proxy = await startProxy(forwarding({ auth: { users: { ann: 'pw' } } }, [origin.port]))
  const x = `http://127.0.0.1:${proxy.port}`
  const url = `http://localhost:${origin.port}/`
  assert.is((await curl('-x', x, '-U', 'ann:pw', url)).out, 'in\n200 000')
  assert.is((await curl('-x', x, '-U', 'ann:pw', '--proxytunnel', url)).out, 'in\n200 200')
  assert.is((await curl('-x', `http://ann:pw@127.0.0.1:${proxy.port}`, url)).out, 'in\n200 000')
  assert.match((await curl('-x', x, '-U', 'ann:no', url)).out, /reason: proxy_auth_required.*\n\n407 000$/s)
  assert.match((await curl('-x', x, '--proxytunnel', url)).out, / 407$/)
})

if (hasCurl)
  withCertificates(test)('curl -x -k: TLS passes through the tunnel, end to end', async ({ server }) => {
    const secure = createServer({ cert: server.cert, key: server.key }, (_, response) => response.end('secret'))
    await new Promise<void>((resolve) => secure.listen(0, '127.0.0.1', resolve))
    const { port } = secure.address() as AddressInfo
    try {
      await using proxy = await startProxy(forwarding({}, [port]))
      const x = `http://127.0.0.1:${proxy.port}`
      assert.equal(await curl('-x', x, '-k', `https://localhost:${port}/`), { code: 0, out: 'secret\n200 200' })
      assert.is((await curl('-x', x, `https://localhost:${port}/`)).code, 60, 'the certificate is the server’s own')
    } finally {
      secure.closeAllConnections()
      secure.close()
    }
  })
else test.skip('curl -x -k: TLS passes through the tunnel, end to end')

test.run()

function canRun(command: string): boolean {
  try {
    execFileSync(command, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
