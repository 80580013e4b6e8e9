/** A thousand clients ask for one URL at once that nobody has asked for yet: how often the endpoint is asked, and what an answer costs. */
import { fresh, requestOf, startCached } from '../../test/support/cache.ts'

const CLIENTS = 1000

const waiting: (() => void)[] = []
await using cached = await startCached((_, connection) => {
  waiting.push(() => connection.write(fresh('x'.repeat(10_000))))
  return undefined
})
const clients = await Promise.all(Array.from({ length: CLIENTS }, () => cached.proxy.connect({ deadlineMs: 30_000 })))
for (const client of clients) client.send(requestOf('/a'))
await cached.origin.request()
await cached.proxy.settled()
const began = process.threadCpuUsage()
for (const answer of waiting) answer()
const answers = await Promise.all(clients.map((client) => client.response()))
const { user, system } = process.threadCpuUsage(began)
const whole = answers.filter(({ text }) => text.length === 10_000).length
console.log(`${whole} of ${CLIENTS} clients got all of it, the endpoint was asked ${cached.asked} time(s)`)
console.log(`${Math.round((user + system) / CLIENTS)} µs CPU an answer, with the clients that read it in the same process`)
for (const client of clients) client.destroy()
