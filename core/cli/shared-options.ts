/** Options and exits that several commands have. Data alone. */
import type { OptionSpec } from './arguments.ts'

export const config: OptionSpec = { name: 'config', short: 'c', value: 'FILE', help: 'the config (default: proxy.config.ts)' }
export const json: OptionSpec = { name: 'json', help: 'print JSON' }

export const noColor = ['NO_COLOR', 'set: no colours, not even on a terminal'] as const
export const controlVariable = ['SLUICE_CONTROL', 'the same as --control'] as const
export const ok = [0, 'done'] as const
export const usage = [2, 'wrong usage'] as const

/** How to say which running proxy is meant. */
export const whichOptions: readonly OptionSpec[] = [
  {
    name: 'config',
    short: 'c',
    value: 'FILE',
    help: 'the proxy that runs FILE (default: proxy.config.ts; where there is none, the only proxy)',
  },
  { name: 'pid', value: 'PID', help: 'the proxy with this process id' },
  { name: 'control', value: 'PATH', help: 'the proxy with this control socket, as run --control named it' },
]
export const whichAbout = 'Only the user that started a proxy can speak to it.'
