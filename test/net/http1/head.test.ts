/** Received text plus edits behaves as a list of lines does. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { NameSet, ResponseHead } from '../../../core/net/http1/head.ts'

type Line = readonly [name: string, value: string]

/** What a head is, the slow way. */
class Model {
  lines: Line[]
  constructor(lines: readonly Line[]) {
    this.lines = [...lines]
  }
  named(name: string): Line[] {
    return this.lines.filter(([one]) => one.toLowerCase() === name.toLowerCase())
  }
  get(name: string): string | null {
    const values = this.named(name).map(([, value]) => value)
    return values.length === 0 ? null : values.join(', ')
  }
  delete(name: string): void {
    this.lines = this.lines.filter(([one]) => one.toLowerCase() !== name.toLowerCase())
  }
  append(name: string, value: string): void {
    this.lines.push([name, value])
  }
  set(name: string, value: string): void {
    this.delete(name)
    this.append(name, value)
  }
}

const START = 'HTTP/1.1 200 OK\r\n'

function headOf(lines: readonly Line[], before = START): ResponseHead {
  const fields = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  const head = new ResponseHead(`${before}${fields}\r\nA: of the body\r\n`, before.length, 200, 'OK', 1)
  const lengths = lines.reduce((bits, [name]) => bits | (1 << name.length), 0)
  head.endFields(before.length + fields.length, lengths)
  return head
}

const name = fc.constantFrom('A', 'a', 'B', 'Ab', 'aB', 'Abc', 'X-Y', 'x-y-z')
const value = fc.constantFrom('', '1', 'two words', 'a: b', 'é', 'A', 'x'.repeat(30))
const lines = fc.array(fc.tuple(name, value), { maxLength: 8 })
const edit = fc.oneof(
  fc.record({ kind: fc.constant('set' as const), name, value }),
  fc.record({ kind: fc.constant('append' as const), name, value }),
  fc.record({ kind: fc.constant('delete' as const), name }),
  fc.record({ kind: fc.constant('cut' as const), line: fc.nat(7) }),
)

test('any edits of any head agree with a list of lines', () => {
  fc.assert(
    fc.property(lines, fc.array(edit, { maxLength: 12 }), (received, edits) => {
      const head = headOf(received)
      const model = new Model(received)
      const gone = new Set<Line>()
      for (const one of edits) {
        if (one.kind === 'set' || one.kind === 'append') {
          head[one.kind](one.name, one.value)
          model[one.kind](one.name, one.value)
        } else if (one.kind === 'delete') {
          head.delete(one.name)
          model.delete(one.name)
        } else if (received[one.line] !== undefined) {
          // The received tuples are the model's own, so a cut is told by identity.
          const at = START.length + received.slice(0, one.line).reduce((sum, [n, v]) => sum + n.length + v.length + 4, 0)
          head.cut(at, at + received[one.line]![0].length + received[one.line]![1].length + 4)
          gone.add(received[one.line]!)
          model.lines = model.lines.filter((line) => !gone.has(line))
        }
        agree(head, model)
      }
      agree(head, model)
      for (const names of [['ab', 'abc'], ['x-y'], ['b', 'x-y-z']]) {
        assert.is(
          head.hasAny(new NameSet(names)),
          names.some((one) => model.named(one).length > 0),
        )
      }
    }),
    { numRuns: 2000 },
  )
})

test('the last line, the first, and lines that were added, are found in any case', () => {
  const head = headOf([
    ['First', '1'],
    ['Last', '2'],
  ])
  head.append('Added', '3')
  assert.equal(
    [head.get('FIRST'), head.get('last'), head.get('aDDED'), head.get('Firs'), head.get('irst'), head.get('')],
    ['1', '2', '3', null, null, null],
  )
})

test('what follows the head in the same read is never taken for a field', () => {
  const head = headOf([['B', '1']])
  assert.is(head.get('a'), null)
  head.delete('a')
  assert.is(head.text(), `${START}B: 1\r\n`)
})

test('names and values that would make another line are refused', () => {
  const head = headOf([])
  for (const bad of ['', 'a b', 'a:', 'a\r\nb', 'é', 'a\0']) assert.throws(() => head.set(bad, 'x'), /not a field name/)
  for (const bad of ['a\r\nB: c', 'a\nb', 'a\rb', '\0', '\x7f', '\u{100}', '…']) assert.throws(() => head.append('A', bad), /not a value/)
  assert.is(head.lines(), '')
})

test('a kept line goes out as it came until something in it is changed', () => {
  const head = headOf(
    [
      ['A', '1'],
      ['B', '2'],
    ],
    'HTTP/1.1 200 Fine\r\n',
  )
  head.keepLine(0)
  head.delete('a')
  assert.is(head.text(), 'HTTP/1.1 200 Fine\r\nB: 2\r\n')
  head.status = 201
  assert.is(head.text(), 'HTTP/1.1 201 Created\r\nB: 2\r\n')
})

test.run()

function agree(head: ResponseHead, model: Model): void {
  assert.is(head.lines(), model.lines.map(([n, v]) => `${n}: ${v}\r\n`).join(''))
  const seen: Line[] = []
  head.forEach((n, v) => {
    seen.push([n, v])
  })
  assert.equal(seen, model.lines)
  for (const n of ['a', 'B', 'ab', 'ABC', 'x-y', 'X-Y-Z', 'none']) {
    assert.is(head.get(n), model.get(n), n)
    assert.is(head.has(n), model.get(n) !== null, n)
  }
}
