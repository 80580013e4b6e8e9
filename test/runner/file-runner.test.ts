/** Files that share a process are told apart: what each did, left behind or broke is said of it alone. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { eventually } from '../support/deadline.ts'
import { commandOf } from '../support/process.ts'
import { type FileResult, FileRunner } from './file-runner.ts'

let count = 0

async function withRunner(
  use: (runner: FileRunner) => Promise<void>,
  deadlines = { fileMs: 20_000, endingMs: 20_000 },
  env: Readonly<Record<string, string>> = {},
): Promise<FileResult | null> {
  const runner = new FileRunner(`${process.pid}:case ${++count}`, deadlines, env)
  try {
    await use(runner)
    return await runner.close()
  } finally {
    runner.kill()
  }
}

const fileOf = (name: string): string => `test/runner/cases/${name}.ts`
const countsOf = ({ passed, failed, skipped }: FileResult): readonly number[] => [passed, failed, skipped]

test('one file after the other in one process, each with its own numbers and output', async () => {
  const end = await withRunner(async (runner) => {
    const first = await runner.run(fileOf('passes'))
    assert.equal([countsOf(first), first.faults], [[2, 0, 0], []])
    const second = await runner.run(fileOf('fails'))
    assert.equal([countsOf(second), second.faults], [[1, 1, 0], [`ran in one process after ${fileOf('passes')}`]])
    assert.match(second.output, '"fails"')
    const third = await runner.run(fileOf('registers-nothing'))
    assert.equal([countsOf(third), third.faults[0]], [[0, 1, 0], 'ran no test to its end'])
    assert.not.match(third.output, '"fails"')
    const fourth = await runner.run(fileOf('skips'))
    assert.equal([countsOf(fourth), fourth.faults], [[0, 0, 1], []])
    assert.ok(runner.canGoOn)
  })
  assert.is(end, null)
})

test('files see the variables that their process was given', async () => {
  const sees = async (runner: FileRunner): Promise<void> => {
    const { passed, failed } = await runner.run(fileOf('sees'))
    assert.equal([passed, failed], runner === given ? [1, 0] : [0, 1])
  }
  let given: FileRunner | null = null
  await withRunner(
    (runner) => {
      given = runner
      return sees(runner)
    },
    undefined,
    { SLUICE_SEEN: '1' },
  )
  await withRunner(sees)
})

test('what a file changes and does not put back is its fault, and the process gets no other file', async () => {
  await withRunner(async (runner) => {
    const { faults, failed } = await runner.run(fileOf('changes'))
    assert.equal([failed, faults], [1, ['did not put back Math.random, process.env.SLUICE_LEFT']])
    assert.not(runner.canGoOn)
  })
})

test('a process that a file leaves behind is told with the file, and ended', async () => {
  await withRunner(async (runner) => {
    const { faults } = await runner.run(fileOf('starts'))
    assert.is(faults.length, 1)
    const pid = Number(/^left behind: (\d+) sleep 60/.exec(faults[0]!)?.[1])
    await eventually(() => !commandOf(pid).includes('sleep') || undefined, 'it is still there')
    assert.ok(runner.canGoOn)
  })
})

for (const [name, what, fault] of [
  ['waits', 'waits for what cannot come', 'ran no test to its end'],
  ['exits', 'ends its process', 'ran no test to its end'],
  ['stays', 'leaves something open', 'still running 0.3 s after its last test: something was left open'],
  ['hangs', 'does not end', 'not finished after 2 s'],
] as const) {
  test(`a file that ${what} is told, and nothing more runs in its process`, async () => {
    const deadlines = { fileMs: name === 'hangs' ? 2_000 : 20_000, endingMs: name === 'stays' ? 300 : 20_000 }
    await withRunner(async (runner) => {
      const { failed, faults } = await runner.run(fileOf(name))
      assert.equal([failed, faults], [1, [fault]])
      assert.not(runner.canGoOn)
    }, deadlines)
  })
}

test('a process that breaks at its end is told with all its files', async () => {
  const end = await withRunner(async (runner) => {
    await runner.run(fileOf('passes'))
    assert.is((await runner.run(fileOf('at-its-end'))).failed, 0)
  })
  assert.equal(end?.file, `${fileOf('passes')} ${fileOf('at-its-end')}`)
  assert.equal([end?.failed, end?.faults], [1, ['its process exited with 7 at its end']])
})

test.run()
