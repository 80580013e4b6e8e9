/** What files are called, and what they are by how they begin. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { attachmentName, extensionsOf, lastSegment } from '../../core/policy/file-names.ts'
import { sniff } from '../../core/policy/signatures.ts'

test('the end of a name, however it is written in a URL', () => {
  for (const [path, found] of [
    ['/a/Setup.EXE', ['exe']],
    ['/a/setup%2Eexe', ['exe']],
    ['/a/setup.%65xe', ['exe']],
    ['/a/setup.exe.', ['exe']],
    ['/a/setup.exe%20', ['exe']],
    ['/a/setup.exe;v=1', ['exe']],
    ['/a.exe/', []],
    ['/x.tar.gz', ['gz', 'tar.gz']],
    ['/exe', []],
    ['*', []],
    ['', []],
  ] as const)
    assert.equal(extensionsOf(lastSegment(path)), found, path)
  // As fast as it is long.
  assert.equal(extensionsOf(lastSegment(`/${'.'.repeat(2_000_000)}exe`)), ['exe', '.exe'])
})

test('the name that a response gives', () => {
  for (const [field, found] of [
    ['attachment; filename="a b.exe"', 'a b.exe'],
    ['attachment; filename=a.exe', 'a.exe'],
    ["attachment; filename=safe.txt; filename*=UTF-8''evil%2Eexe", 'evil.exe'],
    ['attachment; filename="..\\\\x\\\\evil.exe"', 'evil.exe'],
    ['attachment; filename="a\\"b.exe"', 'a"b.exe'],
    ['inline', null],
    [null, null],
  ] as const)
    assert.is(attachmentName(field), found, String(field))
})

test('kinds by their first bytes', () => {
  const at257 = Buffer.concat([Buffer.alloc(257), Buffer.from('ustar')])
  for (const [bytes, type] of [
    [Buffer.from('MZ\x90\0'), 'application/vnd.microsoft.portable-executable'],
    [Buffer.from('PK\x03\x04'), 'application/zip'],
    [Buffer.from('\0\0\0\x20ftypisom', 'latin1'), 'video/mp4'],
    [Buffer.from('RIFF\0\0\0\0WEBPVP8'), 'image/webp'],
    [Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), 'image/png'],
    [at257, 'application/x-tar'],
    [Buffer.from('\n <!DOCTYPE HTML>'), 'text/html'],
    [Buffer.from('hello'), ''],
    [Buffer.alloc(0), ''],
  ] as const)
    assert.is(sniff(bytes), type)
})

test.run()
