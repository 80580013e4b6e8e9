/** `sluice cache warm`: a list of URLs is asked for, and told what became of it. */
import { Readable } from 'node:stream'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { formatWarmed, progressLine, readSources, Warming, type WarmOptions } from '../../core/cli/cache-warm.ts'
import { fresh, startCached } from '../support/cache.ts'
import { answer } from '../support/origin.ts'

const options: WarmOptions = { sources: [], concurrency: 3, to: null, insecure: false, acceptEncoding: null, timeoutMs: 5000, json: false }

test('what is asked for is kept, and what is not, or fails, is told', async () => {
  await using cached = await startCached(({ target }, connection) => {
    if (target === '/gone') return answer('gone', 410, ['Cache-Control: no-store'])
    if (target === '/private') return answer('mine', 200, ['Cache-Control: private'])
    if (target !== '/broken') return fresh(target)
    connection.destroy()
    return undefined
  })
  await cached.get('/before')
  const urls = await readSources(
    ['https://example.com/a'.replace('https', 'http'), '-'],
    Readable.from([
      '# a list\r\n',
      'http://example.com/b?c=1\n\n',
      'http://example.com/before\nhttp://example.com/gone\n',
      'http://example.com/private\nhttp://example.com/broken',
    ]),
  )
  const warmed = await new Warming(urls, { ...options, to: { host: '127.0.0.1', port: cached.proxy.port } }).run()
  const { problems, bytes, ...counts } = warmed
  assert.equal(counts, { asked: 6, stored: 2, hits: 1, passed: 1, errors: 2 })
  assert.equal([...problems].sort(), ['http://example.com/broken: answered with 502', 'http://example.com/gone: answered with 410'])
  assert.ok(bytes > 10)
  assert.is((await cached.get('/b?c=1')).headers['cache-status'], 'sluice; hit; ttl=60')
  assert.is(formatWarmed(warmed), '6 asked for: 2 kept now, 1 kept before, 1 not kept, 2 failed\n')
})

test('an answer that does not come in time is an error', async () => {
  await using cached = await startCached(() => undefined)
  const urls = await readSources(['http://example.com/a'], Readable.from([]))
  const { problems } = await new Warming(urls, { ...options, timeoutMs: 50, to: { host: '127.0.0.1', port: cached.proxy.port } }).run()
  assert.equal(problems, ['http://example.com/a: no whole answer within 50 ms'])
})

test('a list names its lines, and a missing one is told', async () => {
  const fails = async (sources: readonly string[], text: string) => {
    try {
      await readSources(sources, Readable.from([text]))
    } catch (error) {
      return (error as Error).message
    }
    return null
  }
  assert.is(await fails(['-'], 'http://a/\nftp://b/\n'), '-:2: ftp://b/ is no http or https URL')
  assert.match((await fails(['/nowhere/list'], ''))!, /ENOENT/)
})

test('progress is a bar, a share and the errors', () => {
  assert.is(progressLine({ asked: 1, errors: 1 }, 4), '[######..................] 25% 1/4, 1 error')
  assert.is(progressLine({ asked: 0, errors: 0 }, 0), '[########################] 100% 0/0, 0 errors')
})

test.run()
