/** Wires over sockets of Node, where a socket by itself would do something else. */
import { once } from 'node:events'
import net from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { SocketWire } from '../../core/net/socket-wire.ts'
import { within } from '../support/deadline.ts'

// resetAndDestroy fails of a socket that is being shut down: it stayed open, and nobody had it any more.
test('a reset closes the wire whatever was said before, its end included', async () => {
  const server = net.createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  try {
    for (const before of ['nothing', 'an end', 'much and an end']) {
      const client = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1').pause()
      client.on('error', () => {})
      const [[socket]] = (await Promise.all([once(server, 'connection'), once(client, 'connect')])) as [[net.Socket], unknown]
      const told: (string | null)[] = []
      const wire = new SocketWire(socket)
      wire.owner = { onBytes() {}, onDrain() {}, onEnd() {}, onClose: (error) => told.push(error) }
      if (before === 'much and an end') wire.write('', Buffer.alloc(20_000_000), 0, 20_000_000)
      if (before !== 'nothing') wire.end()
      const closed = within(once(socket, 'close'), `closed after ${before}`)
      wire.reset()
      assert.equal(told, [null])
      await closed
      client.destroy()
    }
  } finally {
    server.close()
  }
})

test.run()
