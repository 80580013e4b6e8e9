/** Users, of basicAuth() and of the forward side: their shape, that there are any, and what is wrong in files of them. */
import { resolve } from 'node:path'
import { passwordProblem } from './password-hash.ts'
import type { Path } from './positions.ts'
import { isObject, type Plain, type Report, show } from './report.ts'
import type { ListenerPart, PolicyPart } from './schema-parts.ts'
import { callable, chosen, type Fields, record, refused, ruled, type Schema, text, textThat } from './schema-values.ts'
import { isUserName, type ReadUsers, readUserFile } from './user-file.ts'

const password = chosen((value) => (value === '' ? refused('an empty password lets everybody in') : passwordText))
const passwordText = textThat(passwordProblem)
export const userName: Schema = textThat((name) =>
  isUserName(name) ? null : 'the name of a user is not empty, and has no colon or control character',
)
const users = record(password, userName)
const someUsers: Schema = chosen((value) => {
  if (typeof value === 'string') return refused((written) => `users are passwords by their names; a file of them is file: ${show(written)}`)
  return isObject(value) && Object.keys(value).length === 0 ? refused('without users nobody gets in') : users
})

/** `more`: fields beside them. */
export function usersOptions(more: Fields = {}): Schema {
  return ruled({ users: someUsers, file: text, check: callable, ...more }, ({ users, file, check }) =>
    (users ?? file ?? check) === undefined ? "expected users, file or check, as in { file: './users' }" : null,
  )
}

interface UsersCheck {
  /** Paths are from here. */
  readonly folder: string
  /** Gets the absolute path of every file that is asked for. */
  readonly named: Set<string>
}

/** The names that each listener knows, by its options; null: a function knows more of them. None: nobody is asked. */
export type UsersOf = ReadonlyMap<Plain, ReadonlySet<string> | null>

export function checkUsers(
  { listeners, policies }: { readonly listeners: readonly ListenerPart[]; readonly policies: readonly PolicyPart[] },
  report: Report,
  check: UsersCheck,
): UsersOf {
  const files = new Map<string, ReadUsers | string>()
  const known = new Map<Plain, ReadonlySet<string> | null>()
  for (const { options, path } of listeners) {
    if (!isObject(options.auth)) continue
    const inFile = checkFile(options.auth, [...path, 'auth'], report, { ...check, files })
    const names = isObject(options.auth.users) ? Object.keys(options.auth.users) : []
    known.set(options, options.auth.check === undefined ? new Set([...names, ...inFile]) : null)
  }
  for (const { name, options, path } of policies)
    if (name === 'basicAuth' && isObject(options)) checkFile(options, [...path, { hidden: 'options' }], report, { ...check, files })
  return known
}

/** A sentence; null: there is such a user, or may be. `known`: of the listener. */
export function whyUnknown(user: string, known: ReadonlySet<string> | null | undefined): string | null {
  if (known === null || known?.has(user) === true) return null
  return `there is no user ${user}${known === undefined ? ': without auth nobody is asked who it is' : ' in auth'}`
}

interface FilesCheck extends UsersCheck {
  readonly files: Map<string, ReadUsers | string>
}

/** The names that are in it. */
function checkFile({ file: written, users }: Plain, path: Path, report: Report, { folder, named, files }: FilesCheck): Iterable<string> {
  if (typeof written !== 'string' || written === '') return []
  const file = resolve(folder, written)
  named.add(file)
  const read = files.get(file) ?? tryRead(file)
  files.set(file, read)
  const at: Path = [...path, 'file']
  if (typeof read === 'string') {
    report.error(at, read)
    return []
  }
  for (const problem of read.problems) report.error(at, problem)
  if (read.users.size === 0 && read.problems.length === 0) report.warn(at, `there is no user in ${file}: nobody gets in by it`)
  for (const name of isObject(users) ? Object.keys(users) : [])
    if (read.users.has(name)) report.error([...path, 'users', name], `${name} is in ${file}, too`, 'key')
  return read.users.keys()
}

function tryRead(file: string): ReadUsers | string {
  try {
    return readUserFile(file)
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}
