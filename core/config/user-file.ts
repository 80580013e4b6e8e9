/**
 * A file of users, as `htpasswd -B` writes it: `name:hash` lines, and comments. Read as a whole and of bounded size; a line that nobody could
 * log in by is a problem, told by its number and without what stands in it.
 */
import { hash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { parsePassword, passwordProblem, type StoredPassword } from './password-hash.ts'

export type HashedPassword = Exclude<StoredPassword, { kind: 'plain' }>

export interface UserFile {
  /** The same for the same content. */
  readonly digest: string
  readonly users: ReadonlyMap<string, HashedPassword>
}

export interface ReadUsers extends UserFile {
  /** Sentences that begin with the file and the line. */
  readonly problems: readonly string[]
}

/** About 25,000 users. */
export const MOST_BYTES: number = 2 * 1024 ** 2
const MOST_TOLD = 5

/** Throws, with a sentence, if it cannot be read or a line of it is wrong. `before`: what was read last, which is the same if the file is. */
export function loadUserFile(file: string, before: UserFile | null = null): UserFile {
  const text = readText(file)
  if (before !== null && before.digest === digestOf(text)) return before
  const { problems, ...read } = parseUsers(text, file)
  if (problems.length > 0) throw new Error(problems.join('; '))
  return read
}

/** The same, with what is wrong in it. Throws if it cannot be read. */
export function readUserFile(file: string): ReadUsers {
  return parseUsers(readText(file), file)
}

export function parseUsers(text: string, file: string): ReadUsers {
  const users = new Map<string, HashedPassword>()
  const lines = new Map<string, number>()
  const problems: string[] = []
  let wrong = 0
  for (const [i, raw] of text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .entries()) {
    const line = raw.trim()
    if (line === '' || line.startsWith('#')) continue
    const read = readLine(line)
    const problem =
      typeof read === 'string' ? read : lines.has(read.name) ? `${read.name} stands in line ${lines.get(read.name)!}, too` : null
    if (problem !== null) {
      wrong++
      if (wrong <= MOST_TOLD) problems.push(`${file}:${i + 1}: ${problem}`)
    } else if (typeof read !== 'string') {
      users.set(read.name, read.password)
      lines.set(read.name, i + 1)
    }
  }
  if (wrong > MOST_TOLD) problems.push(`${file}: ${wrong - MOST_TOLD} more lines are wrong`)
  return { digest: digestOf(text), users, problems }
}

/** Names of users, wherever they stand. */
export function isUserName(name: string): boolean {
  return /^[^:\x00-\x1f\x7f]+$/.test(name)
}

interface Line {
  readonly name: string
  readonly password: HashedPassword
}

function readLine(line: string): Line | string {
  const colon = line.indexOf(':')
  if (colon < 0) return 'a line is a name, a colon and a hash, as htpasswd -B writes it'
  const name = line.slice(0, colon)
  if (!isUserName(name)) return 'the name of a user is not empty, and has no control character'
  const written = line.slice(colon + 1)
  const password = parsePassword(written)
  if (password === null) return `${name}: ${passwordProblem(written)!}`
  // What crypt() made of it long ago looks like any other word.
  if (password.kind === 'plain')
    return `${name}: no hash that can be checked: files hold no plain passwords, nor those of crypt(); make one with htpasswd -B`
  return { name, password }
}

function readText(file: string): string {
  try {
    const { size } = statSync(file)
    if (size > MOST_BYTES) throw new Error(`the users in ${file} are more than ${MOST_BYTES / 1024 ** 2} MB`)
    return readFileSync(file, 'utf8')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : null
    if (code === null) throw error
    throw new Error(code === 'ENOENT' ? `there is no file ${file}: htpasswd -Bc makes one` : `the users in ${file} cannot be read: ${code}`)
  }
}

function digestOf(text: string): string {
  return hash('sha256', text, 'base64url')
}
