/** `sluice completion SHELL`: a script that makes the shell complete commands, options and values. Made from what the parser knows. Pure. */
import type { CommandSpec, OptionSpec } from './arguments.ts'

export const shells = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof shells)[number]

export function completionScript(shell: Shell, commands: readonly CommandSpec[]): string {
  switch (shell) {
    case 'bash':
      return bash(commands)
    case 'zsh':
      return `autoload -U +X bashcompinit && bashcompinit\n${bash(commands)}`
    case 'fish':
      return fish(commands)
  }
}

/** The command is the first word that is one; a value's choices come from the option before it; all else is files. */
function bash(commands: readonly CommandSpec[]): string {
  const names = firstWords(commands)
  const known = commands.flatMap(({ options }) => options)
  const choices = unique(
    known
      .filter((option) => choicesOf(option).length > 0)
      .map((option) => `${patternOf(option)}) words='${choicesOf(option).join(' ')}' ;;`),
  )
  const values = unique(known.filter(({ value }) => value !== undefined).map(patternOf))
  return `_sluice() {
  local current=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} command='' word words=''
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $word in
      ${names.join('|')}) command=$word; break ;;
    esac
  done
  case $before in
    ${choices.join('\n    ')}
    ${values.join('|')}) return ;;
    *)
      case $command in
        '') words='${[...names, 'help', '--help', '--version'].join(' ')}' ;;
        ${names.map((name) => `${name}) words='${wordsAfter(name, commands).join(' ')}' ;;`).join('\n        ')}
      esac ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _sluice sluice
`
}

function fish(commands: readonly CommandSpec[]): string {
  const lines = firstWords(commands).map((name) => {
    const summary = commands.find((command) => command.name.split(' ')[0] === name)!.summary
    return `complete -c sluice -n __fish_use_subcommand -a ${name} -d ${quote(summary)}`
  })
  for (const { name, options } of commands) {
    const [first, second] = name.split(' ')
    const seen = `-n '__fish_seen_subcommand_from ${first}'`
    if (second !== undefined) lines.push(`complete -c sluice ${seen} -a ${second}`)
    for (const option of options) {
      const short = option.short === undefined ? '' : ` -s ${option.short}`
      const choices = choicesOf(option)
      const value = option.value === undefined ? '' : choices.length > 0 ? ` -x -a ${quote(choices.join(' '))}` : ' -r'
      lines.push(`complete -c sluice ${seen} -l ${option.name}${short}${value} -d ${quote(option.help)}`)
    }
  }
  return `${lines.join('\n')}\n`
}

function firstWords(commands: readonly CommandSpec[]): string[] {
  return unique(commands.map(({ name }) => name.split(' ')[0]!))
}

/** Second words of the command, and its options. */
function wordsAfter(first: string, commands: readonly CommandSpec[]): string[] {
  const own = commands.filter(({ name }) => name.split(' ')[0] === first)
  const options = own.flatMap(({ options }) => options.map(({ name }) => `--${name}`))
  return [...own.flatMap(({ name }) => name.split(' ').slice(1)), ...options, '--help']
}

/** The words among `reverse|forward|l4`; capitals stand for something. */
function choicesOf({ value = '' }: OptionSpec): string[] {
  const parts = value.split('|')
  return parts.length === 1 ? [] : parts.filter((part) => /^[a-z]\w*$/.test(part))
}

function patternOf({ name, short }: OptionSpec): string {
  return short === undefined ? `--${name}` : `--${name}|-${short}`
}

function quote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}

function unique(words: readonly string[]): string[] {
  return [...new Set(words)]
}
