/**
 * Variables of the environment as a config reads them. One that is missing does not stop the evaluation: all that are missing are
 * reported together, each at the place where it was asked for.
 */

export interface MissingVariable {
  readonly name: string
  /** Its stack holds the place. */
  readonly error: Error
}

let missing: MissingVariable[] = []
const given = new Map<string, string>()

/** The value of a variable. Unset and without a fallback, the config is not valid. An empty value counts as set. */
export function env(name: string, fallback?: string): string {
  const set = process.env[name]
  if (set !== undefined) given.set(name, set)
  const value = set ?? fallback
  if (value !== undefined) return value
  missing.push({ name, error: new Error(`the environment variable ${name} is not set`) })
  return `${MARK}${name}${MARK}`
}

/** What `env` returns for a variable that is not set: what has it in it is not to be judged. */
const MARK = '\u0001'

export function isMissing(value: unknown): boolean {
  return typeof value === 'string' && value.includes(MARK)
}

/** What was missing since the last call. */
export function takeMissing(): MissingVariable[] {
  const taken = missing
  missing = []
  return taken
}

/** What the environment gave, by the names of the variables: no message repeats it. */
export function givenValues(): ReadonlyMap<string, string> {
  return given
}

/** Before another evaluation: what an earlier one asked for is none of its secrets. */
export function forgetGiven(): void {
  given.clear()
}
