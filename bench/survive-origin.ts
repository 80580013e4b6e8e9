/** An endpoint to be killed, stopped or made to fail: `node survive-origin.ts PORT` answers `ok`; after SIGUSR2 503, after another one `ok` again. */
import { createServer } from 'node:http'

let fails = false
process.on('SIGUSR2', () => {
  fails = !fails
})
createServer((_, response) => response.writeHead(fails ? 503 : 200).end('ok')).listen(Number(process.argv[2]), '127.0.0.1')
