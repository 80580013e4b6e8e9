/** TLS sessions with two workers: whichever takes the connection, the client resumes, also when the keys have changed meanwhile. */
import type * as tls from 'node:tls'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { certificates, withCertificates } from '../support/certificates.ts'
import { connect } from '../support/client.ts'
import { eventually } from '../support/deadline.ts'
import { startSluice } from '../support/process.ts'

const secured = withCertificates(test)

secured('a session of one worker is resumed by the other', async ({ server }) => {
  const tlsOptions = `tls: { cert: ${JSON.stringify(server.certFile)}, key: ${JSON.stringify(server.keyFile)} }`
  const config = `import { defineConfig, http, respond } from 'sluice'
export default defineConfig({
  listeners: { web: http({ listen: '127.0.0.1:0', ${tlsOptions}, routes: [{ respond: respond(200, 'ok') }] }) },
})`
  await using sluice = await startSluice({ config, args: ['--workers', '2'] })
  const port = await sluice.port('web')
  const visit = async (path: string, session?: Buffer): Promise<{ resumed: boolean; ticket: Buffer }> => {
    using client = await connect(port, { tls: { servername: 'example.com', ...(session && { session }) }, deadlineMs: 10_000 })
    const socket = client.socket as tls.TLSSocket
    let ticket: Buffer | undefined
    socket.on('session', (given) => {
      ticket = given
    })
    client.send(`GET ${path} HTTP/1.1\r\nHost: example.com\r\n\r\n`)
    assert.is((await client.final()).status, 200)
    return { resumed: socket.isSessionReused(), ticket: await eventually(() => ticket, 'no ticket') }
  }
  const { ticket } = await visit('/first')
  const visits = Array.from({ length: 40 }, (_, i) => `/again/${i}`)
  for (const path of visits) assert.ok((await visit(path, ticket)).resumed, path)
  // Ids of one worker share what stands before the dash.
  const idsOf = (): string[] => sluice.stdout.flatMap((line) => (line.includes('/again/') ? [String(JSON.parse(line).id)] : []))
  const ids = await eventually(() => (idsOf().length === visits.length ? idsOf() : undefined), 'lines are missing')
  assert.is(new Set(ids.map((id) => id.split('-')[0])).size, 2, 'both workers were asked')
})

if (certificates === null) console.log('SKIPPED: TLS sessions across workers')

test.run()
