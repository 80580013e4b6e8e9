/** A real proxy with two workers, a real issuer and a real endpoint. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { request } from '../../test/support/client.ts'
import { answer, startOrigin } from '../../test/support/origin.ts'
import { startSluice } from '../../test/support/process.ts'

const file = fileURLToPath(new URL('./index.ts', import.meta.url))

test('keys come from the issuer, claims arrive at the endpoint, and a forged field never does', async () => {
  const { publicKey, privateKey } = await generateKeyPair('ES256')
  const keys: JWK[] = [{ ...(await exportJWK(publicKey)), kid: 'a', alg: 'ES256' }]
  const issuer = createServer((_, res) => void res.end(JSON.stringify({ keys })))
  await new Promise<void>((listening) => issuer.listen(0, '127.0.0.1', listening))
  const { port } = issuer.address() as AddressInfo
  await using origin = await startOrigin((req) => answer(req.headers['x-user-id'] ?? 'nobody'))
  const config = `import { defineConfig, http } from 'sluice'
import jwt from ${JSON.stringify(file)}
const options = { jwksUrl: 'http://127.0.0.1:${port}/jwks', issuer: 'urn:us', claims: { 'x-user-id': 'sub' }, jwksTimeout: '4s' } as const
export default defineConfig({
  listeners: {
    web: http({
      listen: '127.0.0.1:0',
      use: [jwt(options, { grant: ['credentials', 'net:127.0.0.1:${port}'], timeout: '1s', deadline: '10s' })],
      routes: [{ to: 'http://${origin.address}' }],
    }),
  },
})
`
  await using sluice = await startSluice({ config, args: ['--workers', '2'] })
  const web = await sluice.port('web')
  const get = (lines: string) => request(web, `GET / HTTP/1.1\r\nHost: x\r\nX-User-Id: root\r\n${lines}\r\n`, { deadlineMs: 20_000 })
  const token = await new SignJWT({ sub: 'ann', iss: 'urn:us' })
    .setProtectedHeader({ alg: 'ES256', kid: 'a' })
    .setExpirationTime('5m')
    .sign(privateKey)
  for (let i = 0; i < 6; i++) assert.is((await get(`Authorization: Bearer ${token}\r\n`)).body.toString(), 'ann')
  assert.is((await get('')).status, 401)
  assert.is((await get(`Authorization: Bearer ${token.slice(0, -4)}AAAA\r\n`)).status, 401)
  assert.equal(
    origin.requests.map((req) => req.headers['x-user-id']),
    ['ann', 'ann', 'ann', 'ann', 'ann', 'ann'],
  )
  issuer.close()
  issuer.closeAllConnections()
})

test.run()
