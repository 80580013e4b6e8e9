/** Arguments → a command with its options, or a usage error that names the nearest known word. Pure. */
import { nearest } from '../config/nearest.ts'

export interface OptionSpec {
  readonly name: string
  readonly short?: string
  /** What its value is called in the help; without it the option takes none. */
  readonly value?: string
  /** It may be given more than once: its value is a list. */
  readonly isList?: true
  readonly help: string
}

export interface CommandSpec {
  /** One word or two: `plugin new`. */
  readonly name: string
  /** Words that are not options: at least, and at most, so many. */
  readonly operands: { readonly least: number; readonly most: number }
  readonly options: readonly OptionSpec[]
  /** What follows `sluice`, for each way to call it. */
  readonly usage: readonly string[]
  /** One line. */
  readonly summary: string
  /** A few sentences. */
  readonly about: string
  /** What to type, and what it does. */
  readonly examples: readonly (readonly [string, string])[]
  readonly exits: readonly (readonly [number, string])[]
  readonly environment: readonly (readonly [string, string])[]
}

export type Options = Readonly<Record<string, string | true | readonly string[] | undefined>>

export interface ParsedCommand {
  readonly kind: 'command'
  readonly command: CommandSpec
  readonly options: Options
  readonly rest: readonly string[]
}

export type Parsed =
  | ParsedCommand
  /** null: of all commands. */
  | { readonly kind: 'help'; readonly command: CommandSpec | null }
  | { readonly kind: 'version' }
  /** `command`: whose help tells more. */
  | { readonly kind: 'wrong'; readonly message: string; readonly command: CommandSpec | null }

export interface Grammar {
  readonly commands: readonly CommandSpec[]
  /** Of no command at all. */
  readonly byDefault: CommandSpec
  /** What `sluice http://…` runs. */
  readonly forUrl: CommandSpec
}

/** Options may stand before the command, too: `sluice -c other.ts check`. */
export function parseArguments(args: readonly string[], grammar: Grammar): Parsed {
  const first = findFirstWord(args, grammar)
  if (typeof first === 'object') return first
  const word = args[first]
  if (word === undefined) return parseOptions(args, grammar.byDefault, grammar)
  if (word === 'help') return helpOn(args.toSpliced(first, 1), grammar)
  if (isUrl(word)) return parseOptions(args, grammar.forUrl, grammar)
  const command = commandAt(args, first, grammar)
  if (command === null) {
    // `plugin --help`: there is but one command of that first word.
    const isHelp = ['--help', '-h'].includes(args[first + 1] ?? '')
    return isHelp && longerThan(word, grammar) !== undefined ? helpOn([word], grammar) : wrong(unknownCommand(args, first, grammar))
  }
  const more = args.toSpliced(first, command.name.split(' ').length)
  // `run URL` is what `npm start -- URL` may come to.
  return parseOptions(more, command === grammar.byDefault && more.some(isUrl) ? grammar.forUrl : command, grammar)
}

/** What somebody may have meant who left out `-c`, or the scheme of a URL; empty, or begins with `; `. */
export function suggestForOperand(word: string): string {
  if (/\.[cm]?[jt]s$/.test(word)) return `; did you mean -c ${word}?`
  // A URL's path is left out: there it takes none.
  const [, port] = /^:?(\d{2,5})(?:\/|$)/.exec(word) ?? []
  const [, host] =
    /^((?:\[[\da-f:]+\]|[\w.-]+):\d{1,5}|localhost|(?:[\w-]+\.)+(?:com|net|org|dev|io|local|internal|test|\d+))(?:\/|$)/i.exec(word) ?? []
  const address = port === undefined ? host : `localhost:${port}`
  return address === undefined ? '' : `; did you mean http://${address}?`
}

/** Where the first word is that is no option and no option's value (the end if there is none), unless no command is needed to answer. */
function findFirstWord(args: readonly string[], grammar: Grammar): number | Parsed {
  const known = [...grammar.commands, grammar.forUrl].flatMap(({ options }) => options)
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!
    if (!isOption(arg) || arg === '--') return i
    if (arg === '--version' || arg === '-v') return { kind: 'version' }
    if (arg === '--help' || arg === '-h') {
      return { kind: 'help', command: commandAt(args, i + 1, grammar) }
    }
    const { option, value } = splitOption(arg, known)
    if (option === null) return wrong(`there is no option ${wordOf(arg)}${suggest(wordOf(arg), wordsOf(known))}`)
    if (option.value !== undefined && value === null) i++
  }
  return args.length
}

function helpOn(args: readonly string[], grammar: Grammar): Parsed {
  const words = args.filter((arg) => !isOption(arg))
  if (words.length === 0) return { kind: 'help', command: null }
  const command = commandAt(words, 0, grammar) ?? longerThan(words[0]!, grammar)
  return command === undefined ? wrong(unknownCommand(words, 0, grammar)) : { kind: 'help', command }
}

function commandAt(args: readonly string[], at: number, { commands, forUrl }: Grammar): CommandSpec | null {
  const one = args[at] ?? ''
  if (isUrl(one) || one === forUrl.name) return forUrl
  const two = `${one} ${args[at + 1] ?? ''}`
  return commands.find(({ name }) => name === two) ?? commands.find(({ name }) => name === one) ?? null
}

/** The command of two words that begins with this one. */
function longerThan(word: string, { commands }: Grammar): CommandSpec | undefined {
  return commands.find(({ name }) => name.startsWith(`${word} `))
}

function unknownCommand(args: readonly string[], at: number, { commands }: Grammar): string {
  const word = args[at]!
  const names = commands.map(({ name }) => name)
  const longer = names.filter((name) => name.startsWith(`${word} `))
  if (longer.length > 0) {
    const next = args[at + 1]
    const typed = next === undefined || isOption(next) ? word : `${word} ${next}`
    return `there is no command ${typed}; did you mean ${nearest(typed, longer) ?? longer.join(' or ')}?`
  }
  return `there is no command ${word}${suggest(word, [...names, 'help', '--version']) || suggestForOperand(word)}`
}

function parseOptions(args: readonly string[], command: CommandSpec, grammar: Grammar): Parsed {
  const options: Record<string, string | true | readonly string[]> = {}
  const rest: string[] = []
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!
    if (arg === '--help' || arg === '-h') return { kind: 'help', command }
    if (arg === '--') {
      rest.push(...args.slice(i + 1))
      break
    }
    if (!isOption(arg)) {
      rest.push(arg)
      continue
    }
    const { option, value: joined } = splitOption(arg, command.options)
    const word = wordOf(arg)
    if (option === null) return wrong(unknownOption(word, command, grammar), command)
    if (option.value === undefined) {
      if (joined !== null) return wrong(`${word} takes no value`, command)
      options[option.name] = true
      continue
    }
    const value = joined ?? args[++i]
    const isMissing = value === undefined || value === '' || (joined === null && splitOption(value, command.options).option !== null)
    if (isMissing) return wrong(`${word} needs a value: ${word} ${option.value}`, command)
    const before = options[option.name]
    options[option.name] = option.isList === true ? [...(Array.isArray(before) ? before : []), value] : value
  }
  return checkOperands({ kind: 'command', command, options, rest })
}

function checkOperands(parsed: ParsedCommand): Parsed {
  const { command, rest } = parsed
  const { least, most } = command.operands
  const extra = rest[most]
  if (extra !== undefined) return wrong(`${command.name} does not know what to do with ${extra}${suggestForOperand(extra)}`, command)
  return rest.length >= least ? parsed : wrong(`${command.name} needs more: sluice ${command.usage.join(', or sluice ')}`, command)
}

/** `--name=value`, `-n=value` and `-nvalue` carry their value along. */
function splitOption(arg: string, known: readonly OptionSpec[]): { option: OptionSpec | null; value: string | null } {
  const word = wordOf(arg)
  const option = known.find(({ name, short }) => word === `--${name}` || (short !== undefined && word === `-${short}`)) ?? null
  if (word === arg) return { option, value: null }
  const value = arg.slice(word.length)
  return { option, value: value.startsWith('=') ? value.slice(1) : value }
}

/** An option without the value that it may carry. */
function wordOf(arg: string): string {
  if (!arg.startsWith('--')) return arg.slice(0, 2)
  const equals = arg.indexOf('=')
  return equals < 0 ? arg : arg.slice(0, equals)
}

function unknownOption(word: string, command: CommandSpec, { commands }: Grammar): string {
  const others = commands.filter(({ options }) => wordsOf(options).includes(word)).map(({ name }) => name)
  const belongs = others.length === 0 ? '' : `; it belongs to ${others.join(', ')}`
  return `${command.name} has no option ${word}${belongs || suggest(word, [...wordsOf(command.options), '--help'])}`
}

function wordsOf(options: readonly OptionSpec[]): string[] {
  return options.flatMap(({ name, short }) => (short === undefined ? [`--${name}`] : [`--${name}`, `-${short}`]))
}

function suggest(word: string, known: readonly string[]): string {
  const near = nearest(word, known)
  return near === null ? '' : `; did you mean ${near}?`
}

function wrong(message: string, command: CommandSpec | null = null): Parsed {
  return { kind: 'wrong', message, command }
}

function isOption(arg: string): boolean {
  return arg.startsWith('-') && arg !== '-'
}

function isUrl(text: string): boolean {
  return /^https?:\/\//i.test(text)
}
