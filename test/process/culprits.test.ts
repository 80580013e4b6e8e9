/** Whose code ran when a worker ended: read from what it noted, and held against what ends a process. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Culprits, type EndedWorker, Suspects } from '../../core/process/culprits.ts'
import type { LogEntry, PlanSummary } from '../../core/process/messages.ts'
import { NoteFile } from '../../core/process/note-file.ts'
import { flightNote, noteNumber, openFlightNote } from '../../core/sandbox/engine/flight-note.ts'

const id = 'f0000000deadbeef'

function setUp() {
  const suspects = new Suspects()
  const source = { id, file: '/p/geo.ts', code: '', map: '', files: [], package: null, isolation: 'worker', prelude: '' } as const
  suspects.add([source])
  const told: LogEntry[] = []
  const clock = { now: 0 }
  const culprits = new Culprits({ tell: (entry) => told.push(entry), now: () => clock.now })
  const worker: EndedWorker = { slot: 1, suspects, note: noteNumber(id), hasHung: false, killedFor: null }
  return { suspects, told, clock, culprits, worker }
}

test('the second end within ten minutes moves the plugin, once', () => {
  const { culprits, worker, told, suspects } = setUp()
  suspects.name({ plugins: [{ id, name: 'geo' }] } as unknown as PlanSummary)
  assert.is(culprits.ended(worker, 'SIGTRAP'), null)
  assert.is(told[0]?.text, 'plugin geo made worker 1 end (SIGTRAP)')
  assert.is(culprits.ended(worker, 'SIGABRT'), id)
  assert.is(culprits.ended(worker, 'SIGABRT'), null)
  assert.equal([...culprits.moved], [id])
  assert.equal(culprits.crashes, { geo: 3 })
})

test('two ends further apart than that move nothing', () => {
  const { culprits, worker, clock } = setUp()
  culprits.ended(worker, 'SIGTRAP')
  clock.now = 10 * 60_000
  assert.is(culprits.ended(worker, 'SIGTRAP'), null)
  assert.is(culprits.moved.size, 0)
})

test('an end by somebody’s hand, or outside of every plugin, is no plugin’s', () => {
  const { culprits, worker, told } = setUp()
  for (const why of ['SIGKILL', 'SIGTERM', 'exit 1', 'exit 0']) culprits.ended(worker, why)
  culprits.ended({ ...worker, note: 0 }, 'SIGTRAP')
  culprits.ended({ ...worker, note: 12 }, 'SIGTRAP')
  assert.equal(told, [])
  culprits.ended({ ...worker, hasHung: true, killedFor: 'its event loop stood still for 5 s' }, 'SIGKILL')
  assert.is(told[0]?.text, 'plugin /p/geo.ts made worker 1 end (its event loop stood still for 5 s)')
})

for (const [how, map] of [
  ['mapped', undefined],
  ['written', () => null],
] as const) {
  test(`a note that is ${how} is read through the file, and is gone once the plugin was left`, async () => {
    const file = new NoteFile()
    openFlightNote(file.fd!, map)
    flightNote.enter(noteNumber(id))
    assert.is(file.read(), noteNumber(id))
    flightNote.leave()
    // The written one takes it back at the end of the turn.
    await new Promise((resolve) => setImmediate(resolve))
    assert.is(file.read(), 0)
    flightNote.enter(7)
    assert.is(file.read(), 7)
    flightNote.leave()
    await new Promise((resolve) => setImmediate(resolve))
    openFlightNote(file.fd!, () => new Int32Array(1))
    file.close()
  })
}

test.run()
