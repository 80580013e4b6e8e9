/** What of a request's body nobody has taken yet: all of it, in order, and in no more room than the window, whatever it came in. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type ReceivingHome, ReceivingStream, STREAM_WINDOW } from '../../core/connection/http2-receiving.ts'

const home = { credit() {}, creditAll() {} } as unknown as ReceivingHome

class Stream extends ReceivingStream {
  readonly taken: Buffer[] = []
  /** Stops after so many pieces. */
  most = Number.POSITIVE_INFINITY

  constructor() {
    super(1, home, { window: 65_535, ended: false })
    this.isReading = true
  }

  readOn(): void {
    this.resume()
  }

  protected take(bytes: Buffer, from: number, to: number): void {
    this.taken.push(Buffer.from(bytes.subarray(from, to)))
    if (this.taken.length >= this.most) this.pause()
  }
  protected takeEnd(): void {}
  protected bothEnded(): void {}
  protected drained(): void {}
  protected sentAll(): void {}
}

// Each was a buffer of its own in a list that was emptied from its front: a minute of the processor for one window.
test('a window of frames of one byte is given in a few pieces', () => {
  const stream = new Stream()
  const bytes = Buffer.from(Array.from({ length: 251 }, (_, i) => i))
  for (let i = 0; i < STREAM_WINDOW; i++) stream.onData(bytes, i % 251, (i % 251) + 1, false)
  stream.readOn()
  const all = Buffer.concat(stream.taken)
  assert.is(all.length, STREAM_WINDOW)
  assert.ok(all.every((byte, i) => byte === i % 251))
  assert.ok(stream.taken.length < 20, `${stream.taken.length} pieces`)
})

test('who pauses in the middle gets the rest later, with what came meanwhile', () => {
  const stream = new Stream()
  stream.most = 1
  for (const text of ['one', 'two', 'three']) stream.onData(Buffer.from(text), 0, text.length, false)
  stream.readOn()
  assert.is(Buffer.concat(stream.taken).toString(), 'one')
  stream.onData(Buffer.from('four'), 0, 4, false)
  stream.most = Number.POSITIVE_INFINITY
  stream.readOn()
  assert.is(Buffer.concat(stream.taken).toString(), 'onetwothreefour')
})

test.run()
