/** What a gateway lets pass between a client and a server of SMTP, said as a conversation: `C:` and `S:` are said, `c:` and `s:` come out. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Dialogue, type Rules } from './dialogue.ts'

const RULES: Rules = { banner: 'mail.example.com ESMTP', maxSize: 100, passesTls: false }
const HELLO = [
  'S:220 mx7.internal ESMTP Postfix (Debian)',
  's:220 mail.example.com ESMTP',
  'C:HELO a',
  'c:HELO a',
  'S:250 mx7',
  's:250 mx7',
]
const MAIL = ['C:MAIL FROM:<a@a.test>', 'c:MAIL FROM:<a@a.test>', 'S:250 ok', 's:250 ok', 'C:DATA', 'c:DATA', 'S:354 go on', 's:354 go on']

function holds(lines: readonly string[], rules: Partial<Rules> = {}): void {
  const dialogue = new Dialogue({ ...RULES, ...rules })
  let out = ''
  for (const [i, line] of lines.entries()) {
    const text = `${line.slice(2)}\r\n`
    if (/^[CS]/.test(line)) {
      assert.is(out, '', `before line ${i + 1}, ${line}`)
      const outcome = line[0] === 'C' ? dialogue.fromClient(text) : dialogue.fromServer(text)
      out = 'on' in outcome ? outcome.on : `${outcome.ends}\r\n`
    } else {
      assert.is(out.slice(0, text.length), text, `line ${i + 1}`)
      out = out.slice(text.length)
    }
  }
  assert.is(out, '')
}

/** Why it ends when a client says this after DATA. */
function endOf(message: string, rules: Partial<Rules> = {}): string | null {
  const dialogue = new Dialogue({ ...RULES, ...rules })
  for (const line of [...HELLO, ...MAIL]) {
    if (line[0] === 'C') dialogue.fromClient(`${line.slice(2)}\r\n`)
    if (line[0] === 'S') dialogue.fromServer(`${line.slice(2)}\r\n`)
  }
  const outcome = dialogue.fromClient(message)
  if ('ends' in outcome) return outcome.ends
  assert.is(outcome.on, message)
  return null
}

test('a greeting says what it is told to; a refusal stays', () => {
  holds(HELLO)
  holds(['S:220-mx7', 'S:220 two lines', 's:220 mail.example.com ESMTP'])
  holds(['S:554 no service', 's:554 no service'])
  holds(['S:220 mx7', 's:220 mx7'], { banner: null })
})

test('extensions that get around it are not told; the size is the smaller one', () => {
  const told = ['S:250-mx7', 'S:250-PIPELINING', 'S:250-SIZE 50', 'S:250-STARTTLS', 'S:250-CHUNKING', 'S:250 BINARYMIME']
  const asked = ['S:220 x', 's:220 mail.example.com ESMTP', 'C:EHLO a', 'c:EHLO a', ...told]
  holds([...asked, 's:250-mail.example.com', 's:250-PIPELINING', 's:250 SIZE 50'])
  holds([...asked, 's:250-mail.example.com', 's:250-PIPELINING', 's:250-STARTTLS', 's:250 SIZE 40'], { passesTls: true, maxSize: 40 })
  holds(['S:220 mx7', 's:220 mx7', 'C:EHLO a', 'c:EHLO a', 'S:250 mx7 at your service', 's:250-mx7 at your service', 's:250 SIZE 100'], {
    banner: null,
  })
})

test('a message passes as it is, and what follows it is commands again', () => {
  holds([...HELLO, ...MAIL, 'C:Subject: x', 'c:Subject: x', 'C:.', 'c:.', 'S:250 queued', 's:250 queued', 'C:QUIT', 'c:QUIT'])
  assert.is(endOf('..dots\r\n.stuffed\r\n\r\n.\r\n'), null)
  assert.is(endOf('.\r\nQUIT\r\n'), null, 'an empty message, and the next command')
})

test('the end of a message is in one place only: nothing smuggles another one (2023)', () => {
  const smuggled = 'MAIL FROM:<admin@a.test>\r\n'
  for (const end of ['\n.\n', '\n.\r\n', '\r.\r', '\r\n.\r', '\r.\r\n', '\r\n.\n', '\r\0\n.\r\n', '\r\n.\r\r\n', '\r\r\n.\r\n'])
    assert.match(`${endOf(`text${end}${smuggled}`)}`, /bare CR or LF/, JSON.stringify(end))
})

test('a message has so many bytes, told before or not', () => {
  assert.is(endOf(`${'x'.repeat(98)}\r\n.\r\n`), null)
  assert.match(`${endOf(`${'x'.repeat(99)}\r\n.\r\n`)}`, /too large/)
  assert.match(`${endOf('x'.repeat(200))}`, /too large/)
  holds([...HELLO, 'C:MAIL FROM:<a@a.test> SIZE=101', 'c:NOOP', 'S:250 ok', 's:552 5.3.4 a message has up to 100 bytes here'])
  holds([...HELLO, 'C:MAIL FROM:<a@a.test> SIZE=100', 'c:MAIL FROM:<a@a.test> SIZE=100'])
})

test('TLS is refused where it does not pass; where it does, nothing comes before it', () => {
  holds([...HELLO, 'C:STARTTLS', 'c:NOOP', 'S:250 ok', 's:454 4.7.0 TLS is not available here', 'C:NOOP', 'c:NOOP'])
  const asked = [...HELLO, 'C:STARTTLS', 'c:STARTTLS']
  holds([...asked, 'S:220 go on', 's:220 go on', 'C:\x16\x03\n\r', 'c:\x16\x03\n\r', 'S:\x16', 's:\x16'], { passesTls: true })
  holds([...asked, 'C:RCPT TO:<x>', 'c:the client goes on before it may send its message'], { passesTls: true })
})

test('commands that hide others, come too early or have no end are not passed on', () => {
  const after = (said: string, why: string) => holds([...HELLO, `C:${said}`, `c:${why}`])
  after('NOOP\nQUIT', 'a command with a bare CR or LF, or a NUL')
  after('NOOP\rQUIT', 'a command with a bare CR or LF, or a NUL')
  after('NOOP\0', 'a command with a bare CR or LF, or a NUL')
  after('BDAT 4 LAST', 'BDAT, which was not offered')
  after('DATA\r\nSubject: x', 'the client goes on before it may send its message')
  after('x'.repeat(13_000), 'a command that is too long')
  holds(['C:HELO a', 'c:the client speaks before it is greeted'])
  holds([...HELLO, 'S:250 what', 's:the server answers what was not asked'])
  holds([...HELLO, 'S:421 goodbye', 's:421 goodbye'])
  holds(['S:HTTP/1.1 400 Bad Request', 's:the server speaks no SMTP'])
})

test('what AUTH asks for is no command, whatever it looks like', () => {
  holds([
    ...HELLO,
    'C:AUTH LOGIN',
    'c:AUTH LOGIN',
    'S:334 VXNlcg==',
    's:334 VXNlcg==',
    'C:DATA',
    'c:DATA',
    'S:334 UGFzcw==',
    's:334 UGFzcw==',
  ])
  holds([...HELLO, 'C:AUTH X', 'c:AUTH X', 'S:334 a', 's:334 a', 'C:DATA', 'c:DATA', 'S:235 in', 's:235 in', 'C:NOOP', 'c:NOOP'])
})

test('however bytes are cut, the same comes out', () => {
  const server = '220 a\r\n250-b\r\n250-SIZE 9\r\n250 X\r\n250 c\r\n354 d\r\n'
  const client = 'EHLO a\r\nMAIL FROM:<a>\r\nDATA\r\n'
  const message = '..x\r\n..\r\n'
  const whole = talk([server.slice(0, 7)], [client], [server.slice(7)], [message, '.\r\nQUIT\r\n'])
  fc.assert(
    fc.property(fc.infiniteStream(fc.integer({ min: 1, max: 5 })), (sizes) => {
      const cut = (text: string): string[] => {
        const pieces: string[] = []
        for (let at = 0; at < text.length; ) {
          const size = sizes.next().value as number
          pieces.push(text.slice(at, at + size))
          at += size
        }
        return pieces
      }
      assert.equal(talk(cut(server.slice(0, 7)), cut(client), cut(server.slice(7)), cut(`${message}.\r\nQUIT\r\n`)), whole)
    }),
    { numRuns: 50 },
  )
})

/** By turns, the server first; all that comes out of each side. */
function talk(...turns: readonly (readonly string[])[]): readonly [string, string] {
  const dialogue = new Dialogue(RULES)
  const out: [string, string] = ['', '']
  for (const [i, pieces] of turns.entries())
    for (const piece of pieces) {
      const side = i % 2 === 0 ? 'fromServer' : 'fromClient'
      const outcome = dialogue[side](piece)
      out[(i % 2) as 0 | 1] += 'on' in outcome ? outcome.on : assert.unreachable(outcome.ends)
    }
  return out
}

test.run()
