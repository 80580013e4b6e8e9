/**
 * What a server owes to any client of HTTP/2, clause by clause (RFC 9113, RFC 7541; the cases of h2spec, which is not to be had everywhere): what is
 * right is answered, and what is wrong ends the stream or the connection with the error that the clause names.
 */
import { connect } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { eventually } from '../support/deadline.ts'
import { integer, literal, string } from '../support/hpack.ts'
import {
  blockOf,
  connectFrames,
  END_HEADERS,
  END_STREAM,
  type FrameClient,
  frameType,
  number32,
  PREFACE,
  settingsOf,
} from '../support/http2-frames.ts'
import { answer, type Origin, startOrigin } from '../support/origin.ts'
import { type RunningProxy, startProxy } from '../support/proxy.ts'

const GET = [':method', 'GET', ':scheme', 'http', ':authority', 'example.com', ':path', '/']
const POST = [':method', 'POST', ...GET.slice(2)]
const { data, headers, priority, reset, settings, push, ping, goaway, windowUpdate, continuation } = frameType
const [PROTOCOL, FLOW_CONTROL, STREAM_CLOSED, FRAME_SIZE, REFUSED, COMPRESSION] = [1, 3, 5, 6, 7, 9]
const [HEADER_TABLE_SIZE, ENABLE_PUSH, MOST_STREAMS, INITIAL_WINDOW, MAX_FRAME, MOST_HEADERS] = [1, 2, 3, 4, 5, 6]
const [ACK, PADDED, PRIORITY] = [0x1, 0x8, 0x20]
const WHOLE = END_HEADERS | END_STREAM
const CANCEL = number32(8)
const MOST = 2 ** 31 - 1

/** What one clause says, in words and as what a client sends. */
type Case = readonly [clause: string, what: string, send: (client: FrameClient) => unknown]
/** h2spec takes any of the errors that the clause leaves open. */
type Fatal = readonly [clause: string, what: string, errors: readonly number[], send: (client: FrameClient) => unknown]
type Reset = readonly [clause: string, what: string, error: number, send: (client: FrameClient) => unknown]

const without = (name: string): string[] => GET.filter((_, i) => GET[i - (i % 2)] !== name)
const twice = (name: string): string[] => [...GET.slice(0, GET.indexOf(name) + 2), ...GET.slice(GET.indexOf(name))]
const withPath = (path: string): string[] => [...GET.slice(0, -1), path]
const padded = (bytes: Uint8Array, count: number): Buffer => Buffer.concat([Buffer.of(count), bytes, Buffer.alloc(count)])
const dependent = (on: number, weight = 15, exclusive = false): Buffer =>
  Buffer.concat([number32((exclusive ? 2 ** 31 : 0) + on), Buffer.of(weight)])
const raw = (...parts: readonly (Buffer | string)[]): Buffer =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part)))
/** A literal that is named `x-test`, Huffman-coded; its value follows. */
const X_TEST = '\0\x85\xf2\xb2\x4a\x84\xff'
const open = (c: FrameClient): FrameClient => c.headers(1, POST)

/** Answered on stream 1. */
const served: readonly Case[] = [
  ['3.4', 'the preface, then a request', (c) => c.headers(1, GET, END_STREAM)],
  ['4.1', 'a frame of an unknown type', (c) => c.send(0xff, 0, 0, 'what').headers(1, GET, END_STREAM)],
  ['4.1', 'flags that nobody has defined', (c) => c.send(ping, 0xfe, 0, '12345678').headers(1, GET, END_STREAM)],
  [
    '4.1',
    'the reserved bit of a stream identifier',
    (c) => c.write(raw('\0\0\x08\x06\0\x80\0\0\0', '12345678')).headers(1, GET, END_STREAM),
  ],
  ['4.2', 'DATA of 16,384 bytes', (c) => open(c).send(data, END_STREAM, 1, Buffer.alloc(16_384))],
  ['5.1', 'PRIORITY for an idle stream', (c) => c.send(priority, 0, 3, dependent(0)).headers(1, GET, END_STREAM)],
  [
    '5.1',
    'WINDOW_UPDATE, PRIORITY and RST_STREAM behind the end of a request',
    (c) =>
      c
        .headers(3, GET, END_STREAM)
        .headers(5, GET, END_STREAM)
        .send(windowUpdate, 0, 3, number32(1))
        .send(priority, 0, 3, dependent(0))
        .send(reset, 0, 3, CANCEL)
        .headers(7, GET, END_STREAM),
  ],
  ['5.5', 'an unknown frame on an open stream', (c) => open(c).send(0x42, 0, 1, 'what').send(data, END_STREAM, 1, 'a')],
  ['6.1', 'one DATA frame', (c) => open(c).send(data, END_STREAM, 1, 'test')],
  ['6.1', 'several DATA frames', (c) => open(c).send(data, 0, 1, 'test').send(data, END_STREAM, 1, 'test')],
  ['6.1', 'DATA with padding', (c) => open(c).send(data, PADDED | END_STREAM, 1, padded(Buffer.from('test'), 6))],
  ['6.2', 'HEADERS with padding', (c) => c.send(headers, WHOLE | PADDED, 1, padded(blockOf(GET), 6))],
  ['6.2', 'HEADERS with a priority', (c) => c.send(headers, WHOLE | PRIORITY, 1, raw(dependent(0, 255, true), blockOf(GET)))],
  [
    '6.2',
    'HEADERS with padding and a priority',
    (c) => c.send(headers, WHOLE | PRIORITY | PADDED, 1, padded(raw(dependent(0), blockOf(GET)), 9)),
  ],
  ['6.3', 'PRIORITY of weight 1', (c) => c.send(priority, 0, 1, dependent(0, 0)).headers(1, GET, END_STREAM)],
  ['6.3', 'PRIORITY of weight 256', (c) => c.send(priority, 0, 1, dependent(0, 255)).headers(1, GET, END_STREAM)],
  ['6.3', 'PRIORITY that depends on another', (c) => c.send(priority, 0, 1, dependent(3)).headers(1, GET, END_STREAM)],
  ['6.3', 'PRIORITY that is exclusive', (c) => c.send(priority, 0, 1, dependent(3, 15, true)).headers(1, GET, END_STREAM)],
  ['6.4', 'RST_STREAM, then another stream', (c) => c.headers(3, POST).send(reset, 0, 3, CANCEL).headers(5, GET, END_STREAM)],
  ['6.5.2', 'settings that nobody has defined', (c) => c.send(settings, 0, 0, settingsOf(0xff, 1)).headers(1, GET, END_STREAM)],
  [
    '6.5.2',
    'all settings that there are',
    (c) =>
      c
        .send(
          settings,
          0,
          0,
          settingsOf(
            HEADER_TABLE_SIZE,
            100,
            ENABLE_PUSH,
            0,
            MOST_STREAMS,
            10,
            INITIAL_WINDOW,
            65_535,
            MAX_FRAME,
            16_384,
            MOST_HEADERS,
            8192,
          ),
        )
        .headers(1, GET, END_STREAM),
  ],
  ['6.7', 'an acknowledged PING that was never sent', (c) => c.send(ping, ACK, 0, 'invalid!').headers(1, GET, END_STREAM)],
  ['6.8', 'GOAWAY, behind a request', (c) => c.headers(1, GET, END_STREAM).send(goaway, 0, 0, raw(number32(0), number32(0)))],
  ['6.9', 'WINDOW_UPDATE of the connection', (c) => c.send(windowUpdate, 0, 0, number32(1)).headers(1, GET, END_STREAM)],
  ['6.9', 'WINDOW_UPDATE of a stream', (c) => open(c).send(windowUpdate, 0, 1, number32(1)).send(data, END_STREAM, 1)],
  [
    '6.10',
    'a field block in one CONTINUATION',
    (c) => c.send(headers, END_STREAM, 1, blockOf(GET)).send(continuation, END_HEADERS, 1, blockOf(['x-a', 'b'])),
  ],
  [
    '6.10',
    'a field block in several, cut inside a field',
    (c) => {
      const block = blockOf([...GET, 'x-dummy', 'a'.repeat(90)])
      c.send(headers, END_STREAM, 1, block.subarray(0, 10))
        .send(continuation, 0, 1, block.subarray(10, 60))
        .send(continuation, END_HEADERS, 1, block.subarray(60))
    },
  ],
  ['7', 'a RST_STREAM of an unknown error', (c) => c.headers(3, POST).send(reset, 0, 3, number32(0xff)).headers(5, GET, END_STREAM)],
  ['7', 'a GOAWAY of an unknown error', (c) => c.headers(1, GET, END_STREAM).send(goaway, 0, 0, raw(number32(0), number32(0xff)))],
  ['8.1', 'HEAD', (c) => c.headers(1, [':method', 'HEAD', ...GET.slice(2)], END_STREAM)],
  ['8.1', 'POST with trailers', (c) => open(c).send(data, 0, 1, 'test').headers(1, ['x-test', 'ok'], END_STREAM)],
  ['8.2.2', 'TE: trailers', (c) => c.headers(1, [...GET, 'te', 'trailers'], END_STREAM)],
  ['8.1.1', 'a Content-Length that is right', (c) => c.headers(1, [...POST, 'content-length', '4']).send(data, END_STREAM, 1, 'test')],
  ['HPACK 6.1', 'fields of the static table', (c) => c.send(headers, WHOLE, 1, raw('\x82\x86\x84', literal(':authority', 'a')))],
  ['HPACK 6.2.1', 'a literal that is kept', (c) => c.send(headers, WHOLE, 1, raw(blockOf(GET), literal('x-a', 'b', { isKept: true })))],
  [
    'HPACK 6.2.1',
    'a literal that is kept, of a name in the table',
    (c) => c.send(headers, WHOLE, 1, raw(blockOf(GET), integer(0x40, 63, 58), string('agent'))),
  ],
  [
    'HPACK 6.2.2',
    'a literal of a name in the table',
    (c) => c.send(headers, WHOLE, 1, raw(blockOf(GET), integer(0, 15, 58), string('agent'))),
  ],
  ['HPACK 6.2.3', 'a literal that is never kept', (c) => c.send(headers, WHOLE, 1, raw(blockOf(GET), '\x10', string('x-a'), string('b')))],
  ['HPACK 5.2', 'Huffman-coded fields', (c) => c.send(headers, WHOLE, 1, raw(blockOf(GET), literal('x-a', 'words', { isHuffman: true })))],
  ['HPACK 5.2', 'Huffman padding of seven bits and less', (c) => c.send(headers, WHOLE, 1, raw(blockOf(GET), X_TEST, '\x83\x49\x50\x9f'))],
  [
    'HPACK 2.3.2',
    'a field of the dynamic table, in the next request',
    (c) =>
      c
        .send(headers, WHOLE, 3, raw(blockOf(GET), literal('x-a', 'b', { isKept: true })))
        .send(headers, WHOLE, 5, raw(blockOf(GET), integer(0x80, 127, 62))),
  ],
  [
    'HPACK 6.3',
    'a table of another size, told first',
    (c) => c.send(headers, WHOLE, 1, raw(integer(0x20, 31, 128), integer(0x20, 31, 4096), blockOf(GET))),
  ],
]

/** Ends the connection. */
const fatal: readonly Fatal[] = [
  ['4.2', 'DATA larger than we allow', [FRAME_SIZE], (c) => open(c).send(data, END_STREAM, 1, Buffer.alloc(16_385))],
  [
    '4.2',
    'HEADERS larger than we allow',
    [FRAME_SIZE],
    (c) => c.send(headers, WHOLE, 1, raw(blockOf(GET), literal('x', 'a'.repeat(16_385)))),
  ],
  ['4.3', 'a field block that cannot be read', [COMPRESSION], (c) => c.send(headers, WHOLE, 1, literal('x', 'y').subarray(0, 3))],
  [
    '4.3',
    'PRIORITY in the midst of a field block',
    [PROTOCOL],
    (c) => c.send(headers, END_STREAM, 1, blockOf(GET)).send(priority, 0, 1, dependent(0)),
  ],
  [
    '4.3',
    'HEADERS of another stream in the midst of one',
    [PROTOCOL],
    (c) => c.send(headers, END_STREAM, 1, blockOf(GET)).headers(3, GET, END_STREAM),
  ],
  ['5.1', 'DATA on an idle stream', [PROTOCOL], (c) => c.send(data, END_STREAM, 1, 'a')],
  ['5.1', 'RST_STREAM of an idle stream', [PROTOCOL], (c) => c.send(reset, 0, 1, CANCEL)],
  ['5.1', 'WINDOW_UPDATE of an idle stream', [PROTOCOL], (c) => c.send(windowUpdate, 0, 1, number32(100))],
  ['5.1', 'CONTINUATION on an idle stream', [PROTOCOL], (c) => c.send(continuation, END_HEADERS, 1, blockOf(GET))],
  [
    '5.1',
    'CONTINUATION behind the end of a request',
    [STREAM_CLOSED, PROTOCOL],
    (c) => c.headers(1, GET, END_STREAM).send(continuation, END_HEADERS, 1, blockOf(['a', 'b'])),
  ],
  ['5.1', 'DATA behind a RST_STREAM', [STREAM_CLOSED], (c) => open(c).send(reset, 0, 1, CANCEL).send(data, END_STREAM, 1, 'a')],
  ['5.1', 'HEADERS behind a RST_STREAM', [STREAM_CLOSED, PROTOCOL], (c) => open(c).send(reset, 0, 1, CANCEL).headers(1, GET, END_STREAM)],
  [
    '5.1',
    'CONTINUATION behind a RST_STREAM',
    [STREAM_CLOSED, PROTOCOL],
    (c) =>
      open(c)
        .send(reset, 0, 1, CANCEL)
        .send(continuation, END_HEADERS, 1, blockOf(['a', 'b'])),
  ],
  ['5.1.1', 'a stream of an even number', [PROTOCOL], (c) => c.headers(2, GET, END_STREAM)],
  [
    '5.1.1',
    'a stream of a smaller number than before',
    [PROTOCOL, STREAM_CLOSED],
    (c) => c.headers(5, GET, END_STREAM).headers(3, GET, END_STREAM),
  ],
  ['5.4.1', 'GOAWAY tells of an error, then the connection closes', [FRAME_SIZE], (c) => c.send(ping, 0, 0, '1234567')],
  [
    '5.5',
    'an unknown frame in the midst of a field block',
    [PROTOCOL],
    (c) => c.send(headers, END_STREAM, 1, blockOf(GET)).send(0x42, 0, 1, 'what'),
  ],
  ['6.1', 'DATA on stream 0', [PROTOCOL], (c) => c.send(data, END_STREAM, 0, 'a')],
  ['6.1', 'DATA with more padding than there is', [PROTOCOL], (c) => open(c).send(data, PADDED | END_STREAM, 1, '\x06test')],
  ['6.2', 'HEADERS on stream 0', [PROTOCOL], (c) => c.send(headers, WHOLE, 0, blockOf(GET))],
  ['6.2', 'HEADERS with more padding than there is', [PROTOCOL], (c) => c.send(headers, WHOLE | PADDED, 1, raw('\xff', blockOf(GET)))],
  ['6.3', 'PRIORITY on stream 0', [PROTOCOL], (c) => c.send(priority, 0, 0, dependent(1))],
  ['6.4', 'RST_STREAM on stream 0', [PROTOCOL], (c) => c.send(reset, 0, 0, CANCEL)],
  ['6.4', 'RST_STREAM of another length', [FRAME_SIZE], (c) => open(c).send(reset, 0, 1, '123')],
  ['6.5', 'acknowledged SETTINGS with a payload', [FRAME_SIZE], (c) => c.send(settings, ACK, 0, '\0')],
  ['6.5', 'SETTINGS of a stream', [PROTOCOL], (c) => c.send(settings, 0, 1, settingsOf(MOST_STREAMS, 100))],
  ['6.5', 'SETTINGS cut inside of one', [FRAME_SIZE], (c) => c.send(settings, 0, 0, '\0\x03\0')],
  ['6.5.2', 'a push that is neither on nor off', [PROTOCOL], (c) => c.send(settings, 0, 0, settingsOf(ENABLE_PUSH, 2))],
  ['6.5.2', 'an initial window that is too large', [FLOW_CONTROL], (c) => c.send(settings, 0, 0, settingsOf(INITIAL_WINDOW, 2 ** 31))],
  ['6.5.2', 'frames smaller than there may be', [PROTOCOL], (c) => c.send(settings, 0, 0, settingsOf(MAX_FRAME, 16_383))],
  ['6.5.2', 'frames larger than there may be', [PROTOCOL], (c) => c.send(settings, 0, 0, settingsOf(MAX_FRAME, 2 ** 24))],
  ['6.6', 'PUSH_PROMISE of a client', [PROTOCOL], (c) => open(c).send(push, END_HEADERS, 1, raw(number32(2), blockOf(GET)))],
  ['6.7', 'PING of a stream', [PROTOCOL], (c) => c.send(ping, 0, 1, '12345678')],
  ['6.7', 'PING of another length', [FRAME_SIZE], (c) => c.send(ping, 0, 0, '123456')],
  ['6.8', 'GOAWAY of a stream', [PROTOCOL], (c) => c.send(goaway, 0, 1, raw(number32(0), number32(0)))],
  ['6.9', 'a window of the connection that grows by nothing', [PROTOCOL], (c) => c.send(windowUpdate, 0, 0, number32(0))],
  ['6.9', 'WINDOW_UPDATE of another length', [FRAME_SIZE], (c) => c.send(windowUpdate, 0, 0, '\0\0\x01')],
  [
    '6.9.1',
    'a window of the connection that grows too large',
    [FLOW_CONTROL],
    (c) => c.send(windowUpdate, 0, 0, number32(MOST)).send(windowUpdate, 0, 0, number32(MOST)),
  ],
  [
    '6.9.2',
    'windows that settings make too large',
    [FLOW_CONTROL],
    (c) => open(c).send(windowUpdate, 0, 1, number32(1000)).send(settings, 0, 0, settingsOf(INITIAL_WINDOW, MOST)),
  ],
  [
    '6.10',
    'CONTINUATION, then something else',
    [PROTOCOL],
    (c) =>
      c
        .send(headers, END_STREAM, 1, blockOf(GET))
        .send(continuation, 0, 1, blockOf(['a', 'b']))
        .send(data, END_STREAM, 1, 'a'),
  ],
  [
    '6.10',
    'CONTINUATION on stream 0',
    [PROTOCOL],
    (c) => c.send(headers, END_STREAM, 1, blockOf(GET)).send(continuation, END_HEADERS, 0, blockOf(['a', 'b'])),
  ],
  [
    '6.10',
    'CONTINUATION behind a field block that has ended',
    [PROTOCOL],
    (c) => open(c).send(continuation, END_HEADERS, 1, blockOf(['a', 'b'])),
  ],
  [
    '6.10',
    'CONTINUATION behind one that has ended',
    [PROTOCOL],
    (c) =>
      c
        .send(headers, 0, 1, blockOf(POST))
        .send(continuation, END_HEADERS, 1, blockOf(['a', 'b']))
        .send(continuation, END_HEADERS, 1, blockOf(['c', 'd'])),
  ],
  [
    '6.10',
    'CONTINUATION behind DATA',
    [PROTOCOL],
    (c) =>
      open(c)
        .send(data, 0, 1, 'a')
        .send(continuation, END_HEADERS, 1, blockOf(['a', 'b'])),
  ],
  ['HPACK 2.3.3', 'an index of no field', [COMPRESSION], (c) => c.send(headers, WHOLE, 1, raw(blockOf(GET), integer(0x80, 127, 70)))],
  [
    'HPACK 2.3.3',
    'an index of no name',
    [COMPRESSION],
    (c) => c.send(headers, WHOLE, 1, raw(blockOf(GET), integer(0x40, 63, 70), string('x'))),
  ],
  [
    'HPACK 4.2',
    'the size of the table behind a field',
    [COMPRESSION],
    (c) => c.send(headers, WHOLE, 1, raw(blockOf(GET), integer(0x20, 31, 0))),
  ],
  [
    'HPACK 5.2',
    'Huffman padding of more than seven bits',
    [COMPRESSION],
    (c) => c.send(headers, WHOLE, 1, raw(blockOf(GET), X_TEST, '\x84\x49\x50\x9f\xff')),
  ],
  ['HPACK 5.2', 'Huffman padding of zeros', [COMPRESSION], (c) => c.send(headers, WHOLE, 1, raw(blockOf(GET), X_TEST, '\x83\x49\x50\x90'))],
  [
    'HPACK 5.2',
    'the end of string in a string',
    [COMPRESSION],
    (c) => c.send(headers, WHOLE, 1, raw(blockOf(GET), X_TEST, '\x87\x49\x51\xff\xff\xff\xfa\x7f')),
  ],
  ['HPACK 6.1', 'index 0', [COMPRESSION], (c) => c.send(headers, WHOLE, 1, raw(blockOf(GET), '\x80'))],
  [
    'HPACK 6.3',
    'a table larger than we allow',
    [COMPRESSION],
    (c) => c.send(headers, WHOLE, 1, raw(integer(0x20, 31, 65_536), blockOf(GET))),
  ],
]

/** Ends its stream alone. */
const resets: readonly Reset[] = [
  ['5.1', 'DATA behind the end of a request', STREAM_CLOSED, (c) => c.headers(1, GET, END_STREAM).send(data, END_STREAM, 1, 'a')],
  ['5.1', 'HEADERS behind the end of a request', STREAM_CLOSED, (c) => c.headers(1, GET, END_STREAM).headers(1, GET, END_STREAM)],
  ['6.3', 'PRIORITY of another length', FRAME_SIZE, (c) => open(c).send(priority, 0, 1, '\x80\0\0\x01')],
  ['6.9', 'a window that grows by nothing', PROTOCOL, (c) => open(c).send(windowUpdate, 0, 1, number32(0))],
  [
    '6.9.1',
    'a window that grows too large',
    FLOW_CONTROL,
    (c) => open(c).send(windowUpdate, 0, 1, number32(MOST)).send(windowUpdate, 0, 1, number32(MOST)),
  ],
  ['8.1', 'a second HEADERS that is not the end', PROTOCOL, (c) => open(c).headers(1, ['x-test', 'ok']).send(data, END_STREAM, 1, 'test')],
  ...(
    [
      ['8.2.1', 'a name in upper case', [...GET, 'X-TEST', 'ok']],
      ['8.3', 'a pseudo-field that nobody knows', [...GET, ':test', 'ok']],
      ['8.3', 'a pseudo-field of responses', [...GET, ':status', '200']],
      ['8.3', 'a pseudo-field behind a field', [...GET.slice(0, -2), 'x-test', 'ok', ':path', '/']],
      ['8.2.2', 'Connection', [...GET, 'connection', 'keep-alive']],
      ['8.2.2', 'Keep-Alive, Proxy-Connection and Upgrade', [...GET, 'keep-alive', '1', 'proxy-connection', 'x', 'upgrade', 'h2c']],
      ['8.2.2', 'Transfer-Encoding', [...GET, 'transfer-encoding', 'chunked']],
      ['8.2.2', 'TE of anything but trailers', [...GET, 'te', 'trailers, deflate;q=0.5']],
      ['8.3.1', 'an empty :path', withPath('')],
      ['8.3.1', 'no :method', without(':method')],
      ['8.3.1', 'no :scheme', without(':scheme')],
      ['8.3.1', 'no :path', without(':path')],
      ['8.3.1', ':method twice', twice(':method')],
      ['8.3.1', ':scheme twice', twice(':scheme')],
      ['8.3.1', ':path twice', twice(':path')],
    ] as const
  ).map(([clause, what, fields]): Reset => [clause, what, PROTOCOL, (c) => c.headers(1, fields, END_STREAM)]),
  ['8.1', 'a pseudo-field in trailers', PROTOCOL, (c) => open(c).send(data, 0, 1, 'test').headers(1, [':method', '200'], END_STREAM)],
  [
    '8.1.1',
    'a Content-Length of more than there is',
    PROTOCOL,
    (c) => c.headers(1, [...POST, 'content-length', '5']).send(data, END_STREAM, 1, 'test'),
  ],
  [
    '8.1.1',
    'a Content-Length of less than several DATA frames',
    PROTOCOL,
    (c) =>
      c
        .headers(1, [...POST, 'content-length', '1'])
        .send(data, 0, 1, 'test')
        .send(data, END_STREAM, 1, 'test'),
  ],
]

let origin: Origin
let proxy: RunningProxy

test.before(async () => {
  origin = await startOrigin((request) => answer(request.method === 'HEAD' ? '' : 'hello'))
  proxy = await startProxy({ origin })
})

test.after(async () => {
  await proxy[Symbol.asyncDispose]()
  await origin.close()
})

test('what is right is answered', async () => {
  for (const [clause, what, send] of served) {
    using client = await connectFrames(proxy.port, null)
    send(client)
    const head = await named(
      `${clause}: ${what}`,
      client.frame(({ type }) => type === headers || type === goaway || type === -1),
    )
    assert.is(head.type, headers, `${clause}: ${what}`)
    assert.is((await client.head(head.stream)).status, 200, `${clause}: ${what}`)
    assert.is(await client.end(head.stream), 'complete', `${clause}: ${what}`)
  }
})

test('what no connection can go on after ends it, with its error', async () => {
  for (const [clause, what, errors, send] of fatal) {
    using client = await connectFrames(proxy.port, null)
    send(client)
    const { error, detail } = await named(`${clause}: ${what}`, client.failed())
    assert.ok(errors.includes(error), `${clause}: ${what}: ${error} ${detail}`)
  }
})

test('what is wrong with one stream ends that stream, and the connection goes on', async () => {
  for (const [clause, what, error, send] of resets) {
    using client = await connectFrames(proxy.port, null)
    send(client)
    const ended = await named(
      `${clause}: ${what}`,
      client.frame(({ type }) => type === reset || type === goaway || type === -1),
    )
    assert.equal([ended.type, ended.stream, ended.payload.readUInt32BE(0)], [reset, 1, error], `${clause}: ${what}`)
    client.headers(3, GET, END_STREAM)
    assert.is((await client.head(3)).status, 200, `${clause}: ${what}`)
  }
})

test('5.1.2: streams beyond those allowed are refused', async () => {
  using client = await connectFrames(proxy.port, null)
  const told = await client.frame(({ type, flags }) => type === settings && flags === 0)
  const at = Array.from({ length: told.payload.length / 6 }, (_, i) => i * 6).find((i) => told.payload.readUInt16BE(i) === MOST_STREAMS)
  const most = told.payload.readUInt32BE(at! + 2)
  for (let i = 0; i <= most; i++) client.headers(1 + 2 * i, POST)
  assert.is(await client.reset(1 + 2 * most), REFUSED)
})

test('6.5.3 and 6.7: settings and pings are acknowledged, pings with what they brought', async () => {
  using client = await connectFrames(proxy.port, null, settingsOf(INITIAL_WINDOW, 100, INITIAL_WINDOW, 1))
  await client.frame(({ type, flags }) => type === settings && flags === ACK)
  client.send(ping, 0, 0, 'h2 spec!')
  assert.is((await client.frame(({ type, flags }) => type === ping && flags === ACK)).payload.latin1Slice(), 'h2 spec!')
  client.headers(1, GET, END_STREAM)
  const first = await client.frame(({ type }) => type === data)
  assert.is(first.payload.length, 1, 'the last of two values holds')
})

test('6.9.2: windows follow the settings, below zero too', async () => {
  using client = await connectFrames(proxy.port, null, settingsOf(INITIAL_WINDOW, 3))
  client.headers(1, GET, END_STREAM)
  assert.is((await client.frame(({ type }) => type === data)).payload.latin1Slice(), 'hel')
  client.send(settings, 0, 0, settingsOf(INITIAL_WINDOW, 2)).send(windowUpdate, 0, 1, number32(2))
  assert.is((await client.frame(({ type, payload }) => type === data && payload.latin1Slice() === 'l')).payload.length, 1)
  client.send(settings, 0, 0, settingsOf(INITIAL_WINDOW, 3))
  assert.is(await client.body(1), 'hello')
})

test('3.4: what is no preface, or comes without settings, is no HTTP/2', async () => {
  for (const [first, isHttp1] of [
    ['INVALID CONNECTION PREFACE\r\n\r\n', true],
    [`${PREFACE.slice(0, -4)}xx\r\n`, false],
    [`${PREFACE}\0\0\x08\x06\0\0\0\0\x0012345678`, false],
  ] as const) {
    const socket = connect(proxy.port, '127.0.0.1')
    let [received, isClosed] = ['', false]
    socket.setEncoding('latin1')
    socket.on('data', (text) => {
      received += text
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      isClosed = true
    })
    socket.write(first, 'latin1')
    await eventually(() => isClosed || undefined, 'still open')
    assert.is(received.startsWith('HTTP/1.1 400'), isHttp1, first)
  }
})

test.run()

/** A wait that comes to nothing says which case it was. */
async function named<T>(what: string, wait: Promise<T>): Promise<T> {
  try {
    return await wait
  } catch (error) {
    throw new Error(`${what}: ${error instanceof Error ? error.message : String(error)}`)
  }
}
