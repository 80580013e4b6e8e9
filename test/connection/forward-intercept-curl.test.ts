/** A real client, curl, whose TLS is read: by CONNECT and by SOCKS, with the authority, without it, and not caring. */
import { execFile, execFileSync } from 'node:child_process'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { forwarding } from '../support/forward.ts'
import { certificateFor, OwnAuthority, startSecureOrigin } from '../support/interception.ts'
import { startProxy } from '../support/proxy.ts'

const curled = canRun() ? test : test.skip

interface Curled {
  readonly code: number
  readonly out: string
}

/** Its answer, then on the last line: the version of HTTP, the status, and the name of whoever signed the certificate. */
function curl(...args: readonly string[]): Promise<Curled> {
  const all = ['-s', '--max-time', '20', '--noproxy', '', '-w', '\n%{http_version} %{http_code}', ...args]
  return new Promise((resolve) => execFile('curl', all, (error, out) => resolve({ code: Number(error?.code ?? 0), out })))
}

for (const way of ['http', 'socks5h', 'socks4a'])
  curled(`by ${way}: --cacert with the authority, -k with and without it, and nothing`, async () => {
    using authority = new OwnAuthority()
    await using origin = await startSecureOrigin(({ method, url }, response) => response.end(`${method} ${url}`))
    await using proxy = await startProxy(forwarding({ ...authority.options(), socks: true }, [origin.port]))
    const args = ['-x', `${way}://127.0.0.1:${proxy.port}`, `https://localhost:${origin.port}/a?b`]
    const trusted = ['--cacert', authority.files.cert]
    assert.equal(await curl(...trusted, ...args), { code: 0, out: 'GET /a?b\n2 200' })
    assert.equal(await curl('--http1.1', ...trusted, ...args), { code: 0, out: 'GET /a?b\n1.1 200' })
    assert.equal(await curl('-k', ...trusted, ...args), { code: 0, out: 'GET /a?b\n2 200' })
    assert.equal(await curl('-k', ...args), { code: 0, out: 'GET /a?b\n2 200' })
    assert.is((await curl(...args)).code, 60, 'the certificate is signed by nobody that curl knows')
    const told = way === 'http' ? await proxy.exchange(9) : await proxy.tunnel(5)
    assert.is(told.reason, 'interception_refused')
    assert.match(told.detail!, /ALERT_UNKNOWN_CA; if it should: sluice ca trust-help/)
  })

curled('a body goes up and comes back, whole, by HTTP/2 inside', async () => {
  using authority = new OwnAuthority()
  await using origin = await startSecureOrigin((request, response) => request.pipe(response))
  await using proxy = await startProxy(forwarding(authority.options(), [origin.port]))
  const body = 'x'.repeat(120_000)
  const args = ['--cacert', authority.files.cert, '-x', `http://127.0.0.1:${proxy.port}`, '-d', body]
  const { code, out } = await curl(...args, `https://localhost:${origin.port}/`)
  assert.equal([code, out === `${body}\n2 200`], [0, true])
})

curled('curl sees why a server is not believed, and -k does not change that: it is the proxy that looks', async () => {
  using authority = new OwnAuthority()
  await using origin = await startSecureOrigin(() => {}, { ...certificateFor(['other.test']) })
  await using proxy = await startProxy(forwarding(authority.options(), [origin.port]))
  for (const trust of [['--cacert', authority.files.cert], ['-k']]) {
    const { code, out } = await curl(...trust, '-x', `http://127.0.0.1:${proxy.port}`, `https://localhost:${origin.port}/`)
    assert.is(code, 0)
    assert.match(out, /^502 Bad Gateway\n\nThe certificate of the endpoint was not accepted\.\n.*altnames: DNS:other\.test.*\n2 502$/s)
  }
})

curled('a host of except shows its own certificate to curl', async () => {
  using authority = new OwnAuthority()
  await using origin = await startSecureOrigin((_, response) => response.end('own'))
  await using proxy = await startProxy(forwarding(authority.options({ except: ['localhost'] }), [origin.port]))
  const args = ['-x', `http://127.0.0.1:${proxy.port}`, `https://localhost:${origin.port}/`]
  assert.is((await curl('--cacert', authority.files.cert, ...args)).code, 60)
  assert.equal(await curl('-k', ...args), { code: 0, out: 'own\n1.1 200' })
})

test.run()

function canRun(): boolean {
  try {
    execFileSync('curl', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    console.log('SKIPPED: there is no curl')
    return false
  }
}
