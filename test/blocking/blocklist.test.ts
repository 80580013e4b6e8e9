import { mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readBlocklist } from '../../core/blocking/blocklist.ts'
import { gatherBlocklists } from '../../core/blocking/gather.ts'
import { blocklist } from '../../core/index.ts'
import { compileBlocklist, fetchedListsOf } from '../../core/plan/compile-blocklist.ts'
import { makeFolder } from '../config/support.ts'

const FILES = {
  'ads.txt': '0.0.0.0 ads.example\n||tracker.example^\n@@||ok.bad.example^\n',
  'more.txt': '*.bad.example\nads.example\n',
}

test('says which list blocks a host, and by which of its rules', async () => {
  const list = await read({
    files: ['./ads.txt', { file: './more.txt', name: 'adult' }],
    hosts: ['||own.example^', '*.under.example', '10.0.0.1', '::1'],
  })
  const said = (host: string): string | null => {
    const by = list.match(host)
    return by === null ? null : `${by.list}: ${by.rule}`
  }
  assert.is(said('ads.example'), 'ads.txt: ads.example')
  assert.is(said('www.ads.example'), null)
  assert.is(said('a.tracker.example'), 'ads.txt: *.tracker.example')
  assert.is(said('x.bad.example'), 'adult: *.bad.example')
  assert.is(said('own.example'), 'hosts: own.example')
  assert.is(said('under.example'), null)
  assert.is(said('a.under.example'), 'hosts: *.under.example')
  assert.is(said('10.0.0.1'), 'hosts: 10.0.0.1')
  assert.is(said('::1'), 'hosts: ::1')
  assert.is(said('example'), null)
  assert.is(list.size, 7)
})

test('what is allowed is never blocked: by the config, or by an exception in any list', async () => {
  const list = await read({ files: ['./ads.txt', './more.txt'], allow: ['ads.example', '||Tracker.example^'] })
  for (const host of ['ads.example', 'tracker.example', 'a.tracker.example', 'ok.bad.example', 'www.ok.bad.example'])
    assert.is(list.match(host), null, host)
  assert.ok(list.match('notok.bad.example') !== null)
})

test('lists whose files did not change are the same objects as before', async () => {
  const folder = makeFolder(FILES)
  // Long enough ago to be believed.
  for (const file of Object.keys(FILES)) utimesSync(join(folder, file), 1, 1)
  const plans = (): ReturnType<typeof compileBlocklist>[] =>
    ['./ads.txt', './more.txt'].map((file) => compileBlocklist({ files: [file] }, folder))
  const [a, b] = plans()
  const first = await gatherBlocklists([a!, b!], { pause: turn })
  // Of a file that has just been written the times say nothing.
  const sure = { ...first, made: new Map([...first.made].map(([key, list]) => [key.replace(/ at \d+/, ''), list])) }
  assert.is(first.of.size, 2)
  writeFileSync(join(folder, 'more.txt'), 'other.example\n')
  const [c, d] = plans()
  const second = await gatherBlocklists([c!, d!], { before: sure, pause: turn })
  assert.ok(second.of.get(d!)!.match('other.example') !== null)
  assert.is(second.of.get(d!)!.match('x.bad.example'), null)
  assert.is(second.made.size, 2)
})

test('a list that is fetched blocks nothing before it has come, and is read when it has', async () => {
  const folder = makeFolder(FILES)
  const plans = () => [
    compileBlocklist({ urls: [{ url: 'https://lists.test/ads.txt', name: 'adult' }, 'http://lists.test/'], storage: 'kept' }, folder),
  ]
  const [plan] = plans()
  assert.equal(
    plan!.files.map(({ name }) => name),
    ['adult', 'lists.test'],
  )
  const before = await gatherBlocklists([plan!], { pause: turn })
  assert.is(before.of.get(plan!)!.match('ads.example'), null)
  const { file } = plan!.files[0]!
  mkdirSync(dirname(file))
  writeFileSync(file, FILES['ads.txt'])
  const [again] = plans()
  const after = await gatherBlocklists([again!], { before, pause: turn })
  assert.equal(after.of.get(again!)!.match('ads.example'), { list: 'adult', rule: 'ads.example' })
  assert.is.not(before.files.get(file), after.files.get(file))
})

test('one that several lists have is fetched once, as often as the most eager says', () => {
  const url = 'https://lists.test/ads.txt'
  const plans = [{ urls: [url] }, { urls: [{ url, every: '6h' as const }] }, { urls: [url], storage: './other' }].map((one) =>
    compileBlocklist(one, '/x'),
  )
  assert.equal(
    fetchedListsOf(plans).map(({ everyMs }) => everyMs / 3_600_000),
    [6, 24],
  )
})

test('a file that cannot be read is named', async () => {
  const folder = makeFolder(FILES)
  rmSync(join(folder, 'ads.txt'))
  const plan = compileBlocklist({ files: ['./ads.txt'] }, folder)
  for (const attempt of [gatherBlocklists([plan], { pause: turn }), readBlocklist(plan, turn)]) {
    try {
      await attempt
      assert.unreachable()
    } catch (error) {
      assert.is((error as Error).message, `there is no file ${join(folder, 'ads.txt')}`)
    }
  }
})

test.run()

function read(options: Parameters<typeof blocklist>[0]) {
  return readBlocklist(compileBlocklist(blocklist(options).options, makeFolder(FILES)), turn)
}
