/** Everything that can be found out about a config without running it: what `sluice check` tells, as data. */
import { resolve } from 'node:path'
import type { Facts } from '../config/facts.ts'
import { byPlace, type Problem } from '../config/problems.ts'
import { withoutSecrets } from '../config/secrets.ts'
import { type LoaderOptions, loadConfig } from './loader.ts'
import { checkNames, type NameOptions } from './names.ts'
import type { CheckedUse } from './plugins.ts'
import { TypeCheck, type TypeCheckOptions, type TypeErrors } from './typecheck.ts'

export interface WholeOptions {
  /** Null: types are not checked. */
  readonly types: Omit<TypeCheckOptions, 'file'> | null
  readonly loader?: LoaderOptions
  readonly names?: NameOptions
}

export interface Whole {
  /** An absolute path. */
  readonly file: string
  readonly problems: readonly Problem[]
  /** Null if it could not be evaluated. */
  readonly facts: Facts | null
  /** Uses of plugins that could be loaded. */
  readonly uses: readonly CheckedUse[]
  /** Why types were not checked; null if they were. */
  readonly typesSkipped: string | null
}

/** Never throws for what is wrong with the config. */
export async function checkWhole(path: string, { types, loader, names }: WholeOptions): Promise<Whole> {
  const file = resolve(path)
  const compiler = types === null ? null : new TypeCheck({ ...types, file })
  try {
    const { problems, facts, uses, sources } = await loadConfig(file, loader)
    const { files, plugins } = sources ?? { files: [file], plugins: { files: [], entries: [] } }
    const skipped = { problems: [], skipped: 'not asked for' } satisfies TypeErrors
    const [typed, unresolved] = await Promise.all([compiler?.finish(files, plugins) ?? skipped, checkNames(facts?.hosts ?? [], names)])
    const news = typed.problems.filter((one) => !problems.some((known) => isSame(known, one, sources === null)))
    return {
      file,
      problems: byPlace([...problems, ...withoutSecrets([...unresolved, ...news])], file),
      facts,
      uses,
      typesSkipped: typed.skipped,
    }
  } finally {
    compiler?.close()
  }
}

/** Whether the compiler says what is said already: about that place, or about the key before that value. */
function isSame({ path, place: known, severity }: Problem, { place: typed, message }: Problem, isBroken: boolean): boolean {
  if (known === null || typed === null || severity !== 'error' || known.file !== typed.file) return false
  // What cannot be parsed is told once, in the bundler's words.
  if (isBroken && /\(TS1\d{3}\)$/.test(message)) return true
  // The shape was looked at, and two destinations of a route are told there; the compiler says it of routes with a wrong key, too.
  if (path !== null && MARKS.test(message)) return true
  if (known.line !== typed.line) return false
  if (known.column === typed.column) return true
  const line = typed.source[typed.line - typed.firstLine] ?? ''
  const from = (typed.shownColumn ?? typed.column) - 1
  return known.column > typed.column && /^[\w$'"-]+\s*:\s*$/.test(line.slice(from, from + known.column - typed.column))
}

/** Names of fields that no route has: the types of routes speak through them (OneDestination, OnlyWithTo). */
const MARKS = /'(?:a route has exactly one of|rewrite changes what is sent)\b/
