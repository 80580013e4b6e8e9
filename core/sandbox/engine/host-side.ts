/**
 * The plugin host's end of the conversation with its worker: runs what comes in frames, and ends when the worker does. In which kind
 * of room the plugin runs is decided by the entry that was started.
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
  TO_CLOCK,
  TO_DEFINE,
  TO_DROP,
  TO_GRANT,
  TO_PROFILE,
  TO_RELOAD,
  TO_RUN,
  TO_SET_UP,
  TO_START,
  writeFrame,
} from './frames.ts'

import type { Rooms } from './room.ts'

export interface StartMessage {
  readonly source: PluginSource
  readonly memoryMb: number
}

/** Records what the processor is spent on. */
export interface Profiler {
  start(): void
  /** A V8 CPU profile as JSON. Throws where none was started. */
  stop(): string
}

let socket: Socket
let rooms: Rooms
let profiler: Profiler | null
let executor: Executor
let batch: Batch
let bytes: Int32Array

/** Takes over this process. */
export function serveAsHost(parts: { readonly rooms: Rooms; readonly profiler: Profiler | null }): void {
  rooms = parts.rooms
  profiler = parts.profiler
  const reader = new FrameReader(receive)
  socket = new Socket({ fd: 3 })
  socket.on('data', (chunk: Buffer) => {
    socket.cork()
    reader.push(chunk)
    socket.uncork()
  })
  socket.on('close', () => process.exit())
  socket.on('error', () => process.exit())
}

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
      executor = new Executor(start.source, start.memoryMb, { sink, rooms })
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
      void answer(seq, () => executor.reload(a))
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
    case TO_CLOCK:
      executor.shiftClock(Number(frame.text))
      return
    case TO_PROFILE:
      void answer(seq, async () => profile(a === 1))
      return
    case TO_GRANT:
      executor.answerWishes([{ id: a, isDone: frame.b === 1, text: frame.text }])
  }
}

function profile(begins: boolean): string {
  if (profiler === null) throw new Error('this plugin host does not profile')
  if (!begins) return profiler.stop()
  profiler.start()
  return ''
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
