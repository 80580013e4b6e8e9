/** A real client, curl, by every version of SOCKS, with names resolved here or there, with a password, and with TLS inside. */
import { execFile, execFileSync } from 'node:child_process'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { blocklist } from '../../core/index.ts'
import { withCertificates } from '../support/certificates.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'
import { socksTo } from '../support/socks.ts'

const hasCurl = canRun('curl')
const curled = hasCurl ? test : test.skip
const SECURE = "TLS inside is the client's and the server's alone; its name is looked at where lists block some"

/** Exit codes of curl's. */
const REFUSED = 97

interface Curled {
  readonly code: number
  readonly out: string
}

function curl(...args: readonly string[]): Promise<Curled> {
  const all = ['-s', '--max-time', '5', '--noproxy', '', ...args]
  return new Promise((resolve) => execFile('curl', all, (error, out) => resolve({ code: Number(error?.code ?? 0), out })))
}

curled('--socks4, --socks4a, --socks5 and --socks5-hostname all arrive', async () => {
  await using origin = await startOrigin((request) => answer(`${request.method} ${request.target}`))
  await using proxy = await startProxy(socksTo([origin.port]))
  const at = `127.0.0.1:${proxy.port}`
  for (const option of ['--socks4', '--socks4a', '--socks5', '--socks5-hostname'])
    assert.equal(await curl('-4', option, at, `http://localhost:${origin.port}/a?b`), { code: 0, out: 'GET /a?b' }, option)
  await proxy.tunnel(4)
  assert.equal(
    proxy.tunnels.map(({ protocol, destination }) => `${protocol} ${destination}`),
    [
      `SOCKS4 127.0.0.1:${origin.port}`,
      `SOCKS4 localhost:${origin.port}`,
      `SOCKS5 127.0.0.1:${origin.port}`,
      `SOCKS5 localhost:${origin.port}`,
    ],
  )
})

curled('-U: the right password is let in, another and none are not', async () => {
  await using origin = await startOrigin(() => answer('in'))
  await using proxy = await startProxy(socksTo([origin.port], { auth: { users: { ann: 'pw' } } }))
  const url = `http://localhost:${origin.port}/`
  const options = ['--socks5-hostname', `127.0.0.1:${proxy.port}`, url]
  assert.equal(await curl('-U', 'ann:pw', ...options), { code: 0, out: 'in' })
  assert.equal(await curl('-x', `socks5h://ann:pw@127.0.0.1:${proxy.port}`, url), { code: 0, out: 'in' })
  for (const wrong of [['-U', 'ann:no'], ['-U', 'bob:pw'], []]) assert.is((await curl(...wrong, ...options)).code, REFUSED, String(wrong))
  assert.is((await curl('--socks4a', `127.0.0.1:${proxy.port}`, url)).code, REFUSED)
  await proxy.tunnel(6)
  assert.equal(
    proxy.tunnels.map(({ user, reason }) => `${user} ${reason}`),
    ['ann null', 'ann null', ...Array(4).fill('null proxy_auth_required')],
  )
})

curled('what is not to be reached is refused, not left hanging', async () => {
  await using proxy = await startProxy(socksTo([80], { block: blocklist({ hosts: ['||blocked.test^'] }) }))
  for (const host of ['www.blocked.test', '169.254.169.254', 'localhost:22'])
    assert.is((await curl('--socks5-hostname', `127.0.0.1:${proxy.port}`, `http://${host}/`)).code, REFUSED, host)
  await proxy.tunnel(3)
  assert.equal(
    proxy.tunnels.map(({ reason }) => reason),
    ['host_blocked', 'address_refused', 'port_refused'],
  )
})

if (hasCurl)
  withCertificates(test)(SECURE, async ({ server }) => {
    const secure = createServer({ cert: server.cert, key: server.key }, (_, response) => response.end('secret'))
    await new Promise<void>((resolve) => secure.listen(0, '127.0.0.1', resolve))
    const { port } = secure.address() as AddressInfo
    try {
      await using proxy = await startProxy(socksTo([port], { block: blocklist({ hosts: 'blocked.test' }) }))
      const asked = (name: string) =>
        curl('-k', '--socks5', `127.0.0.1:${proxy.port}`, '--resolve', `${name}:${port}:127.0.0.1`, `https://${name}:${port}/`)
      assert.equal(await asked('fine.test'), { code: 0, out: 'secret' })
      assert.is((await asked('blocked.test')).out, '')
      await proxy.tunnel(2)
      assert.equal(
        proxy.tunnels.map(({ sni, reason }) => `${sni} ${reason}`),
        ['fine.test null', 'blocked.test host_blocked'],
      )
    } finally {
      secure.closeAllConnections()
      secure.close()
    }
  })
else test.skip(SECURE)

test.run()

function canRun(command: string): boolean {
  try {
    execFileSync(command, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
