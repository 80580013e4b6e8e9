/** What requests put out of one worker's memory goes from the others', too, and no flood of them becomes one of messages. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Announced, Announcements } from '../../core/cache/announcements.ts'
import { fresh, startCached } from '../support/cache.ts'

class Said {
  readonly sent: (readonly Announced[])[] = []
  readonly waits: boolean[] = []
  #call: (() => void) | null = null
  readonly announcements = new Announcements({
    send: (announced) => this.sent.push(announced),
    later: (call, isFirst) => {
      assert.is(this.#call, null)
      this.#call = call
      this.waits.push(isFirst)
    },
  })

  pass(): void {
    const call = this.#call!
    this.#call = null
    call()
  }
}

const url = (name: string, soft = false) => ({ kind: 'url', url: name, soft }) as const

test('the first is told soon, what comes meanwhile together and each URL once, and then nobody waits', () => {
  const said = new Said()
  const { announcements } = said
  announcements.add('a', 'http://x/1')
  announcements.add('a', 'http://x/1')
  announcements.add('b', 'http://x/2')
  said.pass()
  assert.equal(said.sent, [
    [
      { cache: 'a', purges: [url('http://x/1')] },
      { cache: 'b', purges: [url('http://x/2')] },
    ],
  ])
  for (let i = 0; i < 50; i++) announcements.add('a', 'http://x/1')
  said.pass()
  assert.equal(said.sent[1], [{ cache: 'a', purges: [url('http://x/1')] }])
  said.pass()
  assert.equal([said.sent.length, said.waits], [2, [true, false, false]])
  announcements.add('a', 'http://x/3')
  assert.equal(said.waits.at(-1), true)
})

test('with more of them than may wait, all of their hosts is asked about anew, and of too many hosts all', () => {
  const said = new Said()
  for (let i = 0; i < 1024; i++) said.announcements.add('a', `http://x/${i}`)
  for (let i = 0; i < 5000; i++) said.announcements.add('a', `http://y/${i}`)
  said.announcements.add('a', 'http://x/7')
  said.pass()
  const [{ purges }] = said.sent[0] as [Announced]
  assert.is(purges.length, 1025)
  assert.equal(purges.at(-1), { kind: 'host', host: 'y', soft: true })
  for (let i = 0; i < 3000; i++) said.announcements.add('a', `http://host${i}/`)
  said.pass()
  assert.equal([said.sent[1]![0]!.purges.length, said.sent[1]![0]!.purges.at(-1)], [1025, { kind: 'all', soft: true }])
})

test('what a POST to one worker has changed another one does not answer from its memory, kept or on its way', async () => {
  let number = 0
  const said = new Said()
  const release = Promise.withResolvers<void>()
  await using one = await startCached(
    async ({ method, target }) => {
      if (target === '/slow') await release.promise
      return method === 'GET' ? fresh(`${++number}`, 60, ['ETag: "1"']) : 'HTTP/1.1 204 No Content\r\nLocation: /b\r\n\r\n'
    },
    { onInvalidated: (cache, of) => said.announcements.add(cache, of) },
  )
  await using other = await startCached(() => undefined, { beside: one })
  for (const path of ['/a', '/b', '/c']) await other.get(path)
  using slow = await other.proxy.connect()
  slow.send('GET /slow HTTP/1.1\r\nHost: example.com\r\n\r\n')
  await one.origin.request(4)
  await one.get('/a', [], 'POST')
  const posted = one.get('/slow', [], 'POST')
  release.resolve()
  await posted
  said.pass()
  for (const announced of said.sent) other.proxy.caches.hear(announced)
  const texts = []
  for (const path of ['/a', '/b', '/c']) texts.push((await other.get(path)).text)
  assert.equal(texts, ['5', '6', '3'].map(String))
  other.proxy.caches.hear([{ cache: 'default', purges: [{ kind: 'host', host: 'example.com', soft: true }] }])
  assert.match((await other.get('/c')).headers['cache-status']!, 'fwd=stale')
  assert.equal(
    said.sent.flat().map(({ cache, purges }) => [cache, purges.length]),
    [['default', 3]],
  )
})

test.run()
