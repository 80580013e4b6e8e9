/** Words in texts that come in pieces: found wherever they were cut, and nothing else is. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { WordSearch, Words } from '../../core/policy/word-search.ts'

/** The first word found in these pieces. */
function find(words: readonly string[], pieces: readonly Uint8Array[], charset: string | null = 'utf-8'): string | null {
  const search = new WordSearch(new Words(words), charset)
  for (const [i, piece] of pieces.entries()) {
    const word = search.find(piece, i === pieces.length - 1)
    if (word !== null) return word
  }
  return null
}

const inOne = (words: readonly string[], text: string): string | null => find(words, [Buffer.from(text)])

test('whole words, in any case, over white space; a star is for all that begins so', () => {
  const words = ['Casino', 'online  poker', 'gambl*', 'C++', '赌博', 'straße']
  for (const [text, found] of [
    ['the CASINO.', 'Casino'],
    ['<b>casino</b>', 'Casino'],
    ['a casinos b', null],
    ['subcasino', null],
    ['casino_x', null],
    ['Online\n\t poker!', 'online  poker'],
    ['online pokers', null],
    ['GAMBLING is', 'gambl*'],
    ['he gambl', 'gambl*'],
    ['use c++ now', 'C++'],
    ['他在赌博吗', '赌博'],
    ['Die STRASSE', null],
    ['Die Straße', 'straße'],
    ['', null],
  ] as const)
    assert.is(inOne(words, text), found, text)
})

test('however a text is cut, byte by byte too, the same is found', () => {
  const words = ['casino', 'online poker', 'глупость', 'x']
  const part = fc.constantFrom(
    'casino',
    'ca',
    'sino',
    ' ',
    'online',
    '\n  ',
    'poker',
    'глупость',
    'глуп',
    'é',
    'x',
    'xx',
    'Online Poker',
    '.',
  )
  fc.assert(
    fc.property(
      fc.array(part, { maxLength: 30 }),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 40 }),
      (parts, sizes) => {
        const bytes = Buffer.from(parts.join(''))
        const pieces: Buffer[] = []
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const size = sizes[i % sizes.length]!
          pieces.push(bytes.subarray(at, at + size))
          at += size
        }
        assert.is(find(words, [...pieces, Buffer.alloc(0)]) === null, find(words, [bytes]) === null, JSON.stringify(parts))
      },
    ),
    { numRuns: 300 },
  )
})

test('texts are read as they are written: as somebody says, as they begin, as their head says', () => {
  const utf16 = Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from('das casino', 'utf16le')])
  assert.is(find(['casino'], [utf16], null), 'casino')
  const windows = Buffer.from([0xea, 0xe0, 0xe7, 0xe8, 0xed, 0xee])
  assert.is(find(['казино'], [windows], 'windows-1251'), 'казино')
  const page = Buffer.concat([Buffer.from('<html><meta charset="windows-1251">'), windows])
  assert.is(find(['казино'], [page], null), 'казино')
  assert.is(find(['casino'], [Buffer.from('casino')], 'no-such-charset'), 'casino')
})

test('what is kept does not grow, and many words cost little more than few', () => {
  const words = new Words(Array.from({ length: 1000 }, (_, i) => `word${i}x${i}`))
  const search = new WordSearch(words, 'utf-8')
  const piece = Buffer.from('lorem ipsum dolor sit amet word '.repeat(2048))
  for (let i = 0; i < 8; i++) assert.is(search.find(piece, false), null)
  assert.ok(words.longest < 40)
  assert.is(search.find(Buffer.from(' word7x7 '), true), 'word7x7')
})

test.run()
