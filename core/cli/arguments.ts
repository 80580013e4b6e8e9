/** Arguments → a command with its options, or a usage error that names the nearest known word. Pure. */

export interface OptionSpec {
  readonly name: string
  readonly short?: string
  /** What its value is called in the help; without it the option takes none. */
  readonly value?: string
  readonly help: string
}

export interface CommandSpec {
  readonly name: string
  /** After `sluice`, `[run] [options]`. */
  readonly usage: string
  readonly help: string
  readonly options: readonly OptionSpec[]
}

export type Options = Readonly<Record<string, string | true | undefined>>

export interface ParsedCommand {
  readonly kind: 'command'
  readonly command: CommandSpec
  readonly options: Options
  readonly rest: readonly string[]
}

export type Parsed =
  | ParsedCommand
  | { readonly kind: 'help'; readonly command: CommandSpec | null }
  | { readonly kind: 'version' }
  | { readonly kind: 'wrong'; readonly message: string }

export interface Grammar {
  readonly commands: readonly CommandSpec[]
  /** Promised, and not there yet. */
  readonly later: readonly string[]
  /** Of no command at all. */
  readonly byDefault: CommandSpec
  /** What `sluice http://…` runs. */
  readonly forUrl: CommandSpec
}

export function parseArguments(args: readonly string[], grammar: Grammar): Parsed {
  const [first] = args
  if (first === undefined || first.startsWith('-')) {
    if (first === '--version' || first === '-v') return { kind: 'version' }
    if (first === '--help' || first === '-h') return { kind: 'help', command: null }
    return parseOptions(args, args.some(isUrl) ? grammar.forUrl : grammar.byDefault)
  }
  if (first === 'help') return { kind: 'help', command: null }
  if (isUrl(first)) return parseOptions(args, grammar.forUrl)
  if (grammar.later.includes(first)) return { kind: 'wrong', message: `the command ${first} is not there yet` }
  const command = grammar.commands.find(({ name }) => name === first)
  // `run URL` is what `npm start -- URL` may come to.
  if (command !== undefined)
    return parseOptions(args.slice(1), command === grammar.byDefault && args.some(isUrl) ? grammar.forUrl : command)
  const known = [...grammar.commands.map(({ name }) => name), ...grammar.later]
  return { kind: 'wrong', message: `there is no command ${first}${suggest(first, known) || suggestUrl(first)}` }
}

/** For an address without its scheme. */
export function suggestUrl(word: string): string {
  const match = /^([\w.-]*[\w-]:)?(\d{2,5})$/.exec(word)
  return match === null ? '' : `; did you mean http://${match[1] ?? 'localhost:'}${match[2]}?`
}

function isUrl(text: string): boolean {
  return /^https?:\/\//i.test(text)
}

function parseOptions(args: readonly string[], command: CommandSpec): Parsed {
  const options: Record<string, string | true> = {}
  const rest: string[] = []
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!
    if (arg === '--help' || arg === '-h') return { kind: 'help', command }
    if (!arg.startsWith('-') || arg === '-') {
      rest.push(arg)
      continue
    }
    const equals = arg.indexOf('=')
    const word = equals < 0 ? arg : arg.slice(0, equals)
    const option = command.options.find(({ name, short }) => word === `--${name}` || (short !== undefined && word === `-${short}`))
    if (option === undefined) return { kind: 'wrong', message: unknownOption(word, command) }
    if (option.value === undefined) {
      if (equals >= 0) return { kind: 'wrong', message: `${word} takes no value` }
      options[option.name] = true
      continue
    }
    const value = equals < 0 ? args[++i] : arg.slice(equals + 1)
    if (value === undefined || value === '') return { kind: 'wrong', message: `${word} needs a value: ${word} ${option.value}` }
    options[option.name] = value
  }
  return { kind: 'command', command, options, rest }
}

function unknownOption(word: string, command: CommandSpec): string {
  const known = [
    ...command.options.flatMap(({ name, short }) => (short === undefined ? [`--${name}`] : [`--${name}`, `-${short}`])),
    '--help',
  ]
  return `${command.name} has no option ${word}${suggest(word, known)}`
}

function suggest(word: string, known: readonly string[]): string {
  const near = nearest(word, known)
  return near === null ? '' : `; did you mean ${near}?`
}

/** The known word that takes the fewest edits, if these are few for its length. */
export function nearest(word: string, known: readonly string[]): string | null {
  let best: string | null = null
  let least = Math.max(1, Math.floor(word.length / 3)) + 1
  for (const candidate of known) {
    const distance = editDistance(word, candidate)
    if (distance < least) {
      least = distance
      best = candidate
    }
  }
  return best
}

/** Insertions, deletions, replacements, and neighbours swapped. */
function editDistance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, i) => i)]
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let cost = Math.min(rows[i - 1]![j]! + 1, row[j - 1]! + 1, rows[i - 1]![j - 1]! + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, rows[i - 2]![j - 2]! + 1)
      row.push(cost)
    }
    rows.push(row)
  }
  return rows[a.length]![b.length]!
}
