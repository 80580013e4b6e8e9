/** A guest whose runtime was taken over: whatever it writes, the host neither crashes nor mixes calls up. */
import * as fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { AnswerReader, Garbage } from '../../core/sandbox/answers.ts'
import { AT, OP_SIZES, TO } from '../../core/sandbox/wire.ts'
import { requestHead } from '../support/heads.ts'
import { ask, outcome, Sandboxed } from '../support/sandboxed.ts'

test('whatever the numbers, reading ends with an answer or with Garbage, and only fit lines reach a head', () => {
  const number = fc.oneof(fc.integer({ min: 0, max: OP_SIZES.length }), fc.integer({ min: -2, max: 40 }), fc.integer())
  fc.assert(
    fc.property(fc.array(number, { maxLength: 60 }), fc.string({ unit: 'binary', maxLength: 80 }), (numbers, text) => {
      const reader = new AnswerReader()
      const request = requestHead({}, { a: '1' })
      try {
        reader.open({ ints: Int32Array.from(numbers), at: 0, count: numbers.length, text, bytes: new Uint8Array(16) })
        for (
          let id = reader.nextId({ log: () => undefined, ask: () => undefined });
          id !== 0;
          id = reader.nextId({ log: () => undefined, ask: () => undefined })
        ) {
          reader.read()
          if (reader.failure === null) reader.apply({ request, response: null, part: null, ip: '', ended: false, resume: () => undefined })
        }
      } catch (error) {
        assert.instance(error, Garbage)
      }
      assert.match(request.lines(), /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+: [\t\x20-\x7e\x80-\xff]*\r\n)*$/)
      assert.match(`${request.path}${request.search}`, /^\/[\x21-\x7e\x80-\xff]*$/)
    }),
    { numRuns: 3000 },
  )
})

/** The guest's entries, with `run` as told. */
const forged = (run: string): string => `(function () { return (memory) => { const tape = new Int32Array(memory); return {
  define: () => JSON.stringify({ name: 'forged', permissions: [], sees: null, match: null, at: '' }),
  setUp: () => JSON.stringify({ hooks: ['onRequest', 'onResponse', 'onMessage'], responseNeeds: 31, viewNeeds: 0, isAsync: false }),
  drop() {}, reload: () => '', finished: () => '', drain: () => '', tick() {}, granted() {}, attach() {},
  run(...pieces) { const to = tape[${TO}], at = tape[${AT}]; ${run} },
} } })()`

const takeovers = {
  'answers calls of others': 'tape[1] = to; tape[2] = 3; tape[8208] = 1; tape[8209] = 77; tape[8210] = 12; return ""',
  'answers more calls than there are': 'tape[1] = 1e9; return ""',
  'gives bytes that are not there':
    'tape[1] = to; tape[7] = 2 ** 30; tape[2] = 5; tape.set([1, tape[at + 2], 16, 2 ** 29, 2 ** 29], 8208); return ""',
  'wishes what is no wish': 'tape[1] = to; tape[2] = 4; tape.set([20, 1, 1000, 5], 8208); return "x"',
  'gives entries of no log': 'tape[1] = to; tape[2] = 4; tape.set([1, tape[at + 2], 19, 2], 8208); return "{}"',
  'answers none': 'return ""',
  'counts below nothing': 'tape[1] = -5; tape[2] = -1; return ""',
  'tells of more numbers than fit': 'tape[1] = to; tape[2] = 2 ** 30; return ""',
  'tells of text that is not there': 'tape[1] = to; tape[2] = 6; tape.set([1, tape[at + 2], 2, 0, 5, 5], 8208); return "x"',
  'returns no text': 'tape[1] = to; return 5',
  throws: 'throw new Error("x")',
  'throws what is no error': 'throw null',
  'answers one call again and again':
    'tape[1] = to; tape[2] = 6; for (let i = 0; i < 6; i += 2) tape.set([1, tape[at + 2]], 8208 + i); return ""',
  'wants to be drained for ever': 'tape[1] = to; tape[3] = 1; return ""',
  'sets wild timers': 'tape[1] = to; tape[4] = -7; return ""',
  'moves the calls': 'tape.fill(-1, 16, 8208); tape[1] = to; return ""',
}

for (const [what, run] of Object.entries(takeovers)) {
  test(`a runtime that ${what} costs its own calls alone`, async () => {
    const it = await Sandboxed.create('worker')
    try {
      const neighbour = await it.plugin(`return { onRequest(req) { req.headers.set('x', req.path) } }`)
      const use = await it.use(await it.write('forged.ts', 'export default 1'))
      const [hook] = await it.sandbox.load([{ ...use, source: { ...use.source, prelude: forged(run) } }])
      const own = Promise.all(Array.from({ length: 5 }, () => ask(hook!)))
      assert.is((await ask(neighbour, { request: requestHead({ path: '/n' }) })).request.get('x'), '/n')
      for (const asked of await own) {
        assert.match(outcome(asked), /^(went on|failed plugin_(failed|unavailable))$/)
        assert.is(asked.request.lines(), '')
      }
      assert.is((await ask(neighbour, { request: requestHead({ path: '/m' }) })).request.get('x'), '/m')
    } finally {
      await it.close()
    }
  })
}

test('of a text without end the beginning is told', async () => {
  const it = await Sandboxed.create('worker')
  try {
    const use = await it.use(await it.write('forged.ts', 'export default 1'))
    const logs = 'tape[1] = to; tape[2] = 4; tape.set([13, 0, 2 ** 20, 0], 8208); return "\\n".repeat(2 ** 20)'
    const fails = 'tape[1] = to; tape[2] = 5; tape.set([1, tape[at + 2], 11, 0, 2 ** 20], 8208); return "\\n".repeat(2 ** 20)'
    for (const run of [logs, fails]) {
      const [hook] = await it.sandbox.load([{ ...use, source: { ...use.source, id: run, prelude: forged(run) } }])
      await ask(hook!)
    }
    assert.equal(
      [...it.told.lines, ...it.told.failures].map((told) => ('text' in told ? told.text : told.detail).length),
      [16_384, 'onRequest: '.length + 16_384],
    )
  } finally {
    await it.close()
  }
})

test('what a runtime tells of its plugin is looked at, too', async () => {
  const it = await Sandboxed.create('worker')
  const sound = { name: 'a', permissions: [], sees: null, match: null, at: '' }
  const use = await it.use(await it.write('forged.ts', 'export default 1'))
  const load = (told: object | null) => {
    const prelude = forged('return ""').replace(/define: .*/, `define: () => ${JSON.stringify(JSON.stringify(told))},`)
    return it.sandbox.load([{ ...use, source: { ...use.source, id: JSON.stringify(told), prelude } }])
  }
  try {
    await load(sound)
    const wrong = [
      ...[
        null,
        5,
        { ...sound, name: 5 },
        { ...sound, name: 'a\0b' },
        { ...sound, permissions: 'kv' },
        { ...sound, match: 5 },
        { ...sound, match: { host: [5] } },
        { ...sound, sees: { length: 2 } },
        { ...sound, sees: [1] },
        { ...sound, sees: ['a: b\r\n'] },
      ],
      { ...sound, sees: Array.from({ length: 3000 }, (_, i) => `x-${i}`) },
    ] as (object | null)[]
    for (const told of wrong) {
      const error = await load(told).then(() => null, String)
      assert.match(error ?? 'loaded', /cannot be|makes no sense|no name of a field/, JSON.stringify(told))
    }
  } finally {
    await it.close()
  }
})

test.run()
