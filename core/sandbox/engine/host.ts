/**
 * The plugin host: a process that runs one plugin and nothing else. It may die at any moment, of what the plugin makes V8 do or by
 * its worker's hand; it ends when its worker does.
 */
import { Socket } from 'node:net'
import { Batch } from '../batch.ts'
import type { PluginSource } from '../source.ts'
import { FAILURES, type FailureWhy, IN_AT } from '../wire.ts'
import type { Answers, EngineSink, EngineUse } from './engine.ts'
import { Executor } from './executor.ts'
import {
  ANSWERED,
  FAILED,
  type Frame,
  type FrameParts,
  FrameReader,
  LOST,
  OVERRAN,
  RESULT,
  SETTLED,
  TO_DEFINE,
  TO_DROP,
  TO_GRANT,
  TO_RELOAD,
  TO_RUN,
  TO_SET_UP,
  TO_START,
  writeFrame,
} from './frames.ts'

export interface StartMessage {
  readonly source: PluginSource
  readonly memoryMb: number
}

const socket = new Socket({ fd: 3 })
const reader = new FrameReader(receive)
let executor: Executor
let batch: Batch
let bytes: Int32Array

socket.on('data', (chunk: Buffer) => {
  socket.cork()
  reader.push(chunk)
  socket.uncork()
})
socket.on('close', () => process.exit())
socket.on('error', () => process.exit())

const sink: EngineSink = {
  answered: (_batch, done, answers) => sendAnswers(ANSWERED, done, answers),
  failed: (_batch, index, why, detail) => send({ type: FAILED, a: index, b: FAILURES.indexOf(why), text: detail }),
  settled: (answers) => sendAnswers(SETTLED, 0, answers),
  overran: (id, why, detail) => send({ type: OVERRAN, a: id, b: FAILURES.indexOf(why), text: detail }),
  // Whoever started this process starts another.
  gone: () => process.exit(1),
  lost: (why: FailureWhy, detail) => send({ type: LOST, b: FAILURES.indexOf(why), text: detail }),
}

function receive(frame: Frame): void {
  const { seq, a } = frame
  switch (frame.type) {
    case TO_START: {
      const start = JSON.parse(frame.text) as StartMessage
      executor = new Executor(start.source, start.memoryMb, sink)
      bytes = new Int32Array(executor.memory)
      batch = new Batch(bytes, IN_AT, executor)
      return
    }
    case TO_DEFINE:
      void answer(seq, async () => executor.define())
      return
    case TO_SET_UP: {
      const use = JSON.parse(frame.text) as EngineUse
      void answer(seq, () => executor.setUp(use))
      return
    }
    case TO_RELOAD:
      void answer(seq, async () => executor.reload(a))
      return
    case TO_DROP:
      executor.drop(a)
      return
    case TO_RUN:
      bytes.set(frame.ints.subarray(0, frame.count), IN_AT)
      batch.count = a
      batch.text = frame.text
      batch.byteCount = frame.bytes.length
      if (frame.bytes.length > 0 && executor.ensure(frame.bytes.length)) executor.bytes.set(frame.bytes)
      executor.run(batch, frame.b)
      return
    case TO_GRANT:
      executor.answerWishes([{ id: a, isDone: frame.b === 1, text: frame.text }])
  }
}

async function answer(seq: number, run: () => Promise<string>): Promise<void> {
  try {
    send({ type: RESULT, seq, a: 1, text: await run() })
  } catch (error) {
    send({ type: RESULT, seq, a: 0, text: error instanceof Error ? error.message : String(error) })
  }
}

function sendAnswers(type: number, a: number, { ints, at, count, text, bytes: out }: Answers): void {
  send({ type, a, ints, at, count, text, ...(out === null ? {} : { bytes: out }) })
}

function send(parts: FrameParts): void {
  socket.write(writeFrame(parts))
}
