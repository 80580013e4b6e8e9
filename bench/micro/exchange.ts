/**
 * What one exchange costs in this program alone: a real connection, HTTP/1 or HTTP/2, exchange and upstream connection between two wires that
 * carry bytes in memory, so that neither the kernel nor a neighbour on the machine is in the figure. Prints ns an exchange.
 */
import { Http1Connection } from '../../core/connection/http1.ts'
import { Http2Connection } from '../../core/connection/http2.ts'
import { createService, homeOf, MemoryWire } from './in-memory.ts'

const requests = {
  wrk: 'GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n',
  browser:
    'GET /api/users/12?x=1 HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\n' +
    'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n' +
    'Accept-Encoding: gzip, deflate, br\r\nConnection: keep-alive\r\nCookie: a=b; c=d\r\nSec-Fetch-Dest: document\r\n\r\n',
}
const response = Buffer.from(
  `HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sat, 21 Nov 2026 03:57:11 GMT\r\nContent-Type: text/plain\r\nContent-Length: 95\r\nConnection: keep-alive\r\n\r\n${'x'.repeat(95)}`,
)

const rounds = 100_000
/** As the event loop does after each turn. */
const runTicks = (process as unknown as { _tickCallback: () => void })._tickCallback

/** Field blocks of the request: as it comes first, and from the second time on. */
function blocksOf(text: string): readonly [Buffer, Buffer] {
  const [line, ...lines] = text.trim().split('\r\n')
  const [method, path] = line!.split(' ')
  const fields = lines.map((one) => one.split(': ') as [string, string]).filter(([name]) => !/^(?:connection|host)$/i.test(name))
  const host = /Host: (.+)\r/.exec(text)![1]!
  const all = [[':method', method!], [':scheme', 'https'], [':authority', host], [':path', path!], ...fields] as [string, string][]
  const literals = all.map(([name, value]) =>
    Buffer.concat([Buffer.of(0x40, name.length), Buffer.from(name.toLowerCase()), Buffer.of(value.length), Buffer.from(value)]),
  )
  return [Buffer.concat(literals), Buffer.from(all.map((_, i) => 0x80 | (61 + all.length - i)))]
}

function headersFrame(block: Buffer): Buffer {
  const head = Buffer.from([0, block.length >> 8, block.length, 1, 5, 0, 0, 0, 0])
  return Buffer.concat([head, block])
}

const STREAMS = 8

function measureHttp2(name: string, text: string): void {
  const { service, upstreamWires } = createService(STREAMS)
  const client = new MemoryWire()
  new Http2Connection(client, homeOf(service), { scheme: 'https', header: null, secured: null })
  const windows = '\0\0\x06\x04\0\0\0\0\0\0\x04\x7f\xff\xff\xff' + '\0\0\x04\x08\0\0\0\0\0\x7f\xff\0\0'
  const first = Buffer.from(`PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${windows}`, 'latin1')
  client.owner.onBytes(first, first.length)
  const [literal, indexed] = blocksOf(text)
  let id = 1
  const once = headersFrame(literal)
  once[8] = id
  client.owner.onBytes(once, once.length)
  for (const wire of upstreamWires) if (wire.written > 0) wire.owner.onBytes(response, response.length)
  const frame = headersFrame(indexed)
  const read = Buffer.concat(Array.from({ length: STREAMS }, () => frame))
  const costs: number[] = []
  for (let round = 0; round < 20; round++) {
    const from = process.cpuUsage()
    for (let i = 0; i < rounds; i += STREAMS) {
      for (let at = 5; at < read.length; at += frame.length) {
        id += 2
        read.writeUInt32BE(id, at)
      }
      client.owner.onBytes(read, read.length)
      for (const wire of upstreamWires) wire.owner.onBytes(response, response.length)
      runTicks()
    }
    const used = process.cpuUsage(from)
    costs.push(((used.user + used.system) * 1000) / rounds)
  }
  tell(`${name} h2`, costs)
  if (client.written < rounds * 20 * 100) throw new Error(`the exchanges did not end: ${client.written} bytes`)
  service.deadlines.stop()
}

function tell(name: string, costs: number[]): void {
  costs.sort((a, b) => a - b)
  console.log(`${name.padEnd(10)} ${costs[0]!.toFixed(0)} ns an exchange (best of 20), ${costs[10]!.toFixed(0)} at the median`)
}

for (const [name, text] of Object.entries(requests)) {
  const { service, upstreamWires } = createService()
  const [upstreamWire] = upstreamWires as [MemoryWire]
  const client = new MemoryWire()
  new Http1Connection(client, homeOf(service), 'http')
  const request = Buffer.from(text)
  const costs: number[] = []
  for (let round = 0; round < 20; round++) {
    const from = process.cpuUsage()
    for (let i = 0; i < rounds; i++) {
      client.owner.onBytes(request, request.length)
      upstreamWire.owner.onBytes(response, response.length)
    }
    const used = process.cpuUsage(from)
    costs.push(((used.user + used.system) * 1000) / rounds)
  }
  tell(name, costs)
  if (client.written < rounds * 20 * 200) throw new Error('the exchanges did not end')
  service.deadlines.stop()
  measureHttp2(name, text)
}
