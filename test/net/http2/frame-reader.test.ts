/** RFC 9113 §4, §6: frames are told the same however they are cut into reads, and what is malformed ends the connection with the right error. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ERROR, type FrameFault } from '../../../core/net/http2/frame.ts'
import { type FrameOwner, FrameReader } from '../../../core/net/http2/frame-reader.ts'

const [DATA, HEADERS, PRIORITY, RESET, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
const FIRST = frame(SETTINGS, 0, 0, '')

test('each frame is told once, with what it carries', () => {
  const { told, fault } = read([
    FIRST,
    frame(SETTINGS, 0, 0, '\0\x03\0\0\0\x64'),
    frame(SETTINGS, 1, 0, ''),
    frame(HEADERS, 0x5, 1, 'block'),
    frame(HEADERS, 0x2c, 3, '\x02\0\0\0\0\x10block..'),
    frame(HEADERS, 0, 5, 'be'),
    frame(CONTINUATION, 0, 5, ''),
    frame(CONTINUATION, 4, 5, 'gun'),
    frame(DATA, 0, 5, 'hello'),
    frame(DATA, 0x9, 5, '\x03last...'),
    frame(DATA, 1, 3, ''),
    frame(PING, 0, 0, '12345678'),
    frame(PING, 1, 0, '12345678'),
    frame(WINDOW_UPDATE, 0, 3, '\x80\0\0\x05'),
    frame(RESET, 0, 3, '\0\0\0\x08'),
    frame(PRIORITY, 0, 3, '12345'),
    frame(PRIORITY, 0, 3, '1234'),
    frame(99, 0xff, 7, 'who knows'),
    frame(GOAWAY, 0, 0, '\0\0\0\0\0\0\0\0why'),
  ])
  assert.is(fault, null)
  assert.equal(told, [
    'settings',
    'settings 000300000064',
    'idle',
    'headers 1 end block',
    'headers 3 block',
    'headers 5 begun',
    'data 5 5+0',
    'bytes 5 hello',
    'data 5 8+4',
    'bytes 5 end last',
    'data 3 0+0',
    'bytes 3 end ',
    'ping 12345678',
    'idle',
    'window 3 5',
    'reset 3 8',
    'idle',
    'fault 3 6',
    'idle',
    'idle',
    'goaway',
  ])
})

test('however reads cut the frames, they are the same frames', () => {
  const piece = fc.string({ unit: fc.constantFrom('a', '\0', 'z'), maxLength: 40 })
  const stream = fc.constantFrom(1, 3)
  const one = fc.oneof(
    fc.tuple(fc.constantFrom(0, 1), stream, piece).map(([flags, id, body]) => frame(DATA, flags, id, body)),
    fc.tuple(stream, piece, fc.nat(9)).map(([id, body, pad]) => frame(DATA, 8, id, String.fromCharCode(pad) + body + 'p'.repeat(pad))),
    fc.tuple(stream, piece).map(([id, body]) => frame(HEADERS, 4, id, body)),
    fc.tuple(stream, piece, piece).map(([id, a, b]) => frame(HEADERS, 0, id, a) + frame(CONTINUATION, 4, id, b)),
    fc.constantFrom(frame(PING, 0, 0, '12345678'), frame(SETTINGS, 0, 0, ''), frame(77, 0, 0, 'x'), frame(PING, 0, 0, 'short')),
  )
  fc.assert(
    fc.property(
      fc.array(one, { maxLength: 12 }),
      fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 30 }),
      (frames, sizes) => {
        const whole = read([FIRST, ...frames])
        const bytes = Buffer.from(FIRST + frames.join(''), 'latin1')
        const cut: Buffer[] = []
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const size = sizes[i % sizes.length]!
          cut.push(Buffer.from(bytes.subarray(at, at + size)))
          at += size
        }
        const parts = read(cut)
        assert.equal(parts.fault, whole.fault)
        assert.equal(joined(parts.told), joined(whole.told))
      },
    ),
    { numRuns: 500 },
  )
})

test('the end of a frame of DATA is told with the beginning of the next', () => {
  const [first, second] = [frame(DATA, 0, 1, 'a'.repeat(40)), frame(DATA, 1, 1, 'b'.repeat(40))]
  const { told } = read([FIRST, first.slice(0, 30), first.slice(30) + second.slice(0, 20), second.slice(20)])
  const bytes = told.filter((line) => line.startsWith('bytes'))
  assert.equal(bytes, [`bytes 1 ${'a'.repeat(21)}`, `bytes 1 ${'a'.repeat(19)}${'b'.repeat(11)}`, `bytes 1 end ${'b'.repeat(29)}`])
  const other = read([FIRST, first.slice(0, 30), first.slice(30) + frame(DATA, 0, 3, 'b')])
  assert.equal(other.told.slice(-3), [`bytes 1 ${'a'.repeat(19)}`, 'data 3 1+0', 'bytes 3 b'])
})

test('what a frame may not be ends the connection, as soon as its head tells', () => {
  const cases: readonly (readonly [string, number, string])[] = [
    ['no SETTINGS first', ERROR.protocol, frame(PING, 0, 0, '12345678')],
    ['an acknowledgement first', ERROR.protocol, frame(SETTINGS, 1, 0, '')],
    ['longer than it may be', ERROR.frameSize, `${FIRST}\0\x40\x01\0\0\0\0\0\x01`],
    ['the same, of headers', ERROR.frameSize, `${FIRST}\xff\xff\xff\x01\x04\0\0\0\x01`],
    ['DATA on no stream', ERROR.protocol, FIRST + frame(DATA, 0, 0, 'a')],
    ['HEADERS on no stream', ERROR.protocol, FIRST + frame(HEADERS, 4, 0, 'a')],
    ['PRIORITY on no stream', ERROR.protocol, FIRST + frame(PRIORITY, 0, 0, '12345')],
    ['RST_STREAM on no stream', ERROR.protocol, FIRST + frame(RESET, 0, 0, '1234')],
    ['SETTINGS on a stream', ERROR.protocol, FIRST + frame(SETTINGS, 0, 1, '')],
    ['PING on a stream', ERROR.protocol, FIRST + frame(PING, 0, 1, '12345678')],
    ['GOAWAY on a stream', ERROR.protocol, FIRST + frame(GOAWAY, 0, 1, '12345678')],
    ['a short RST_STREAM', ERROR.frameSize, FIRST + frame(RESET, 0, 1, '123')],
    ['a short SETTINGS', ERROR.frameSize, FIRST + frame(SETTINGS, 0, 0, '12345')],
    ['an acknowledgement that says something', ERROR.frameSize, FIRST + frame(SETTINGS, 1, 0, '123456')],
    ['a short PING', ERROR.frameSize, FIRST + frame(PING, 0, 0, '1234567')],
    ['a short GOAWAY', ERROR.frameSize, FIRST + frame(GOAWAY, 0, 0, '1234567')],
    ['a short WINDOW_UPDATE', ERROR.frameSize, FIRST + frame(WINDOW_UPDATE, 0, 0, '123')],
    ['a push', ERROR.protocol, FIRST + frame(PUSH, 4, 1, '1234')],
    ['padding longer than DATA', ERROR.protocol, FIRST + frame(DATA, 8, 1, '\x04abc')],
    ['padding of nothing', ERROR.protocol, FIRST + frame(DATA, 8, 1, '')],
    ['padding longer than HEADERS', ERROR.protocol, FIRST + frame(HEADERS, 0xc, 1, '\x04abc')],
    ['HEADERS without their priority', ERROR.frameSize, FIRST + frame(HEADERS, 0x24, 1, '1234')],
    ['CONTINUATION of nothing', ERROR.protocol, FIRST + frame(CONTINUATION, 4, 1, '')],
    ['CONTINUATION of another stream', ERROR.protocol, FIRST + frame(HEADERS, 0, 1, 'a') + frame(CONTINUATION, 4, 3, 'b')],
    ['something inside a field block', ERROR.protocol, FIRST + frame(HEADERS, 0, 1, 'a') + frame(PING, 0, 0, '12345678')],
    ['a field block without end', ERROR.enhanceYourCalm, FIRST + frame(HEADERS, 0, 1, 'a') + frame(CONTINUATION, 0, 1, '').repeat(33)],
    [
      'a field block too large',
      ERROR.enhanceYourCalm,
      FIRST + frame(HEADERS, 0, 1, 'a'.repeat(600)) + frame(CONTINUATION, 0, 1, 'b'.repeat(600)),
    ],
    ['one that is so at once', ERROR.enhanceYourCalm, FIRST + frame(HEADERS, 4, 1, 'a'.repeat(1001))],
  ]
  for (const [what, error, text] of cases) {
    const { fault, told } = read([text])
    assert.is(fault?.error, error, what)
    assert.not(told.includes('goaway'), what)
    assert.is(read([...text]).fault?.error, error, `${what}, byte by byte`)
  }
})

test('a frame that has begun is waited for, and so is a field block; DATA is not', () => {
  const { reader } = read([FIRST])
  const waits = (text: string) => {
    const bytes = Buffer.from(text, 'latin1')
    assert.is(reader.read(bytes, 0, bytes.length), null)
    return reader.isWithin
  }
  assert.not(waits(''))
  assert.ok(waits('\0'))
  assert.not(waits(frame(PING, 0, 0, '12345678').slice(1)))
  assert.ok(waits(frame(HEADERS, 0, 1, '')))
  assert.not(waits(frame(CONTINUATION, 4, 1, '')))
  assert.not(waits(frame(DATA, 0, 1, 'abc').slice(0, -1)))
})

test.run()

function frame(type: number | undefined, flags: number, stream: number, body: string): string {
  const head = Buffer.alloc(9)
  head.writeUIntBE(body.length, 0, 3)
  head[3] = type!
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return head.latin1Slice() + body
}

/** What was told of these reads, up to what was wrong; at most 1,000 bytes of a field block. */
function read(reads: readonly (string | Buffer)[]): { told: string[]; fault: FrameFault | null; reader: FrameReader } {
  const told: string[] = []
  const owner: FrameOwner = {
    onData: (stream, length, padding) => told.push(`data ${stream} ${length}+${padding}`),
    onDataBytes: (stream, bytes, from, to, ends) => told.push(`bytes ${stream} ${ends ? 'end ' : ''}${bytes.latin1Slice(from, to)}`),
    onHeaders: (stream, ends, bytes, from, to) => told.push(`headers ${stream} ${ends ? 'end ' : ''}${bytes.latin1Slice(from, to)}`),
    onReset: (stream, error) => told.push(`reset ${stream} ${error}`),
    onSettings: (bytes, from, to) => told.push(`settings ${bytes.toString('hex', from, to)}`.trim()),
    onPing: (bytes, from) => told.push(`ping ${bytes.latin1Slice(from, from + 8)}`),
    onGoaway: () => told.push('goaway'),
    onWindowUpdate: (stream, bytes) => told.push(`window ${stream} ${bytes}`),
    onIdleFrame: () => told.push('idle'),
    onStreamFault: (stream, error) => told.push(`fault ${stream} ${error}`),
  }
  const reader = new FrameReader(owner, 1000)
  for (const one of reads) {
    const bytes = typeof one === 'string' ? Buffer.from(one, 'latin1') : one
    const fault = reader.read(bytes, 0, bytes.length)
    if (fault !== null) return { told, fault, reader }
  }
  return { told, fault: null, reader }
}

/** Of DATA frames of one stream that follow each other: their heads, then all that was in them. */
function joined(told: readonly string[]): string[] {
  const out: string[] = []
  let [stream, bytes, ends] = ['', '', false]
  const close = (): void => {
    if (stream !== '') out.push(`bytes ${stream} ${bytes}`, ends ? 'end' : 'more')
    ;[stream, bytes, ends] = ['', '', false]
  }
  for (const line of told) {
    const [, kind, id, end, text = ''] = /^(data|bytes) (\d) (end )?(.*)$/s.exec(line) ?? []
    if (id === undefined || id !== stream || ends) close()
    if (kind !== 'bytes') out.push(line)
    if (id === undefined) continue
    stream = id
    if (kind === 'data') continue
    bytes += text
    ends = end !== undefined
  }
  close()
  return out
}
