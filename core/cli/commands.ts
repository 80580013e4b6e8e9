/** Every command with its options, as the parser reads them and the help tells them. Data alone. */
import type { CommandSpec, Grammar, OptionSpec } from './arguments.ts'
import { cacheList, cachePurge, cacheStat, cacheWarm } from './cache-specs.ts'
import { caCreate, caShow, caTrustHelp, certDev } from './certificate-specs.ts'
import { endpointsAdd, endpointsDrain, endpointsList, endpointsRemove, endpointsUndrain } from './endpoint-specs.ts'
import { config, controlVariable, json, noColor, ok, usage, whichAbout, whichOptions } from './shared-options.ts'

const runOptions: readonly OptionSpec[] = [
  { name: 'workers', value: 'N|auto', help: 'processes that carry traffic (default: auto, one a CPU)' },
  {
    name: 'drain',
    value: 'DURATION',
    help: 'how long exchanges under way may take to finish when it stops: 500ms, 30s, 2m (default: 30s)',
  },
  { name: 'log', value: 'FILE', help: 'append access lines to FILE, not to standard output; SIGUSR1 reopens it' },
  { name: 'control', value: 'PATH|off', help: 'where to put the control socket, or none (default: in a folder of your own)' },
]
const runExits = [
  [0, 'stopped by SIGTERM, SIGINT or sluice stop, and drained'],
  [1, 'failed: a port is taken, say'],
  usage,
  [78, 'the config is not valid'],
] as const
const runEnvironment = [
  ['SLUICE_ADMIN_TOKEN', 'what admin asks for where other machines can reach it'],
  controlVariable,
  ['XDG_RUNTIME_DIR', 'holds the control socket, in sluice/ (default: /run/user/UID, else /tmp/sluice-UID)'],
  ['XDG_CACHE_HOME', 'holds compiled modules, in sluice/ (default: ~/.cache)'],
  noColor,
] as const

const run: CommandSpec = {
  name: 'run',
  operands: { least: 0, most: 0 },
  usage: ['[run] [options]'],
  summary: 'start the proxy of a config',
  about:
    'Starts the proxy that proxy.config.ts describes, and prints a line for each listener, then one that begins with `ready`. It watches the ' +
    'config and every file it was built from: what you save is live at once, or refused with the place of the mistake while the old config ' +
    'goes on serving. SIGHUP reloads; SIGTERM and SIGINT drain, then it exits; a second one exits at once.',
  options: [config, ...runOptions, { name: 'no-watch', help: 'do not reload when a file changes; SIGHUP and sluice reload still do' }],
  examples: [
    ['sluice', 'run ./proxy.config.ts'],
    ['sluice -c /etc/sluice/proxy.config.ts --workers 2', 'another config, two workers'],
    ['sluice run --no-watch --log /var/log/sluice/access.log', 'as a service'],
  ],
  exits: runExits,
  environment: runEnvironment,
}

const url: CommandSpec = {
  name: 'URL',
  operands: { least: 1, most: 1 },
  usage: ['URL [options]'],
  summary: 'a reverse proxy to URL on :8080, without a config',
  about: 'Sends every request that arrives on port 8080 to one address, and prints a line for each. There is no config to write.',
  options: runOptions,
  examples: [['sluice http://localhost:3000', 'curl localhost:8080 is then answered by port 3000']],
  exits: [...runExits.slice(0, 2), [2, 'wrong usage: no address to send requests to, say']],
  environment: runEnvironment,
}

const check: CommandSpec = {
  name: 'check',
  operands: { least: 0, most: 0 },
  usage: ['check [options]'],
  summary: 'tell every problem of a config, each with its place',
  about:
    'Compiles a config and its plugins, validates them, resolves names, reads certificates, and loads every plugin in its sandbox; type errors ' +
    "are found by the project's own TypeScript 7, if it has one. Tells all problems at once, each with file, line and column; opens no port.",
  options: [
    config,
    { name: 'json', help: 'print the result as JSON; the same as --format json' },
    {
      name: 'format',
      value: 'text|json|github',
      help: 'code frames, JSON, or annotations of a pull request (default: text; github if GITHUB_ACTIONS is true)',
    },
    { name: 'no-types', help: 'leave type errors out' },
    { name: 'strict', help: 'fail on warnings, too' },
  ],
  examples: [
    ['sluice check', 'check ./proxy.config.ts'],
    ['sluice check -c other.ts --json', 'for a program to read'],
    ['sluice check --strict --format github', 'in a workflow of GitHub'],
  ],
  exits: [[0, 'the config is valid'], [1, 'it is not'], usage],
  environment: [noColor, ['FORCE_COLOR', 'set: colours, also where there is no terminal']],
}

const explain: CommandSpec = {
  name: 'explain',
  operands: { least: 0, most: 2 },
  usage: ['explain [METHOD] URL [options]', 'explain REQUEST-ID [options]', 'explain --diagram [options]'],
  summary: 'which route a request takes, and why no other',
  about:
    'Tells what a config does with a request, without sending it: the listener, each earlier route with the field that did not match, ' +
    'policies and plugins with what each sees, the endpoint, what is sent and how long each step may take. Functions of `when` are run, ' +
    'hooks are not. With the id of a logged request it asks the running proxy what happened to that one, too: answer, endpoint, times.',
  options: [
    config,
    { name: 'header', short: 'H', value: "'NAME: VALUE'", isList: true, help: 'a field of the request; may be given several times' },
    { name: 'from', value: 'IP', help: 'the address it comes from (default: 127.0.0.1)' },
    { name: 'at', value: 'TIME', help: 'when, for allow.times: 2026-11-30T08:00 (default: now)' },
    { name: 'listener', value: 'NAME', help: 'the listener that takes it (default: by the port or the scheme of the URL)' },
    { name: 'all', help: 'tell of every route, of however many' },
    { name: 'diagram', help: 'draw who answers the SYN, who completes TLS and when an endpoint is dialled' },
    json,
    ...whichOptions.slice(1).map((option) => ({ ...option, help: `${option.help}: for REQUEST-ID` })),
  ],
  examples: [
    ['sluice explain GET http://api.example.com/v1/me', 'by ./proxy.config.ts'],
    ["sluice explain POST /login -H 'Host: example.com' --from 10.0.0.7", 'with a field, from an address'],
    ['sluice explain mf3k2a9xq1-2k', 'a request of the running proxy, by its id in the log'],
    ['sluice explain udp://dns.example.com:53 --from 10.0.0.7', 'where a client of UDP goes; of TCP with tcp:// and tls://'],
    ['sluice explain socks5://example.com:443', 'whether a client of SOCKS is let through'],
    ['sluice explain --diagram --listener edge', 'the ways in, drawn'],
  ],
  exits: [ok, [1, 'no such proxy is running, or it does not remember that id'], usage, [78, 'the config is not valid']],
  environment: [controlVariable, noColor],
}

const status: CommandSpec = {
  name: 'status',
  operands: { least: 0, most: 0 },
  usage: ['status [options]'],
  summary: 'what a running proxy does',
  about: `Asks a running proxy for its state: its config and when that was loaded, listeners, workers, connections. ${whichAbout}`,
  options: [...whichOptions, { name: 'all', help: 'list all your running proxies' }, json],
  examples: [
    ['sluice status', 'the proxy of this folder, or the only one'],
    ['sluice status --all', 'every one, a line each'],
  ],
  exits: [ok, [1, 'no such proxy is running'], usage],
  environment: [controlVariable],
}

const reload: CommandSpec = {
  name: 'reload',
  operands: { least: 0, most: 0 },
  usage: ['reload [options]'],
  summary: 'make a running proxy read its config again',
  about:
    'Loads the config again and waits until it is live in all workers. If anything is wrong with it, that is told and nothing changes: ' +
    `the old config goes on serving. No connection is cut. ${whichAbout}`,
  options: whichOptions,
  examples: [
    ['sluice reload', 'the proxy of this folder, or the only one'],
    ['sluice check && sluice reload', 'ask first'],
  ],
  exits: [[0, 'the new config is live'], [1, 'no such proxy is running'], usage, [78, 'the config is not valid; the old one goes on']],
  environment: [controlVariable],
}

const stop: CommandSpec = {
  name: 'stop',
  operands: { least: 0, most: 0 },
  usage: ['stop [options]'],
  summary: 'drain a running proxy and end it',
  about:
    'Tells a running proxy to accept no new connections and to end when exchanges under way have finished, at the latest after the time ' +
    `that --drain gave it; waits until it is gone. ${whichAbout}`,
  options: [...whichOptions, { name: 'now', help: 'do not wait for what is under way: cut it' }],
  examples: [
    ['sluice stop', 'the proxy of this folder, or the only one'],
    ['sluice stop --pid 4711 --now', 'that one, at once'],
  ],
  exits: [[0, 'it is gone'], [1, 'no such proxy is running'], usage],
  environment: [controlVariable],
}

const init: CommandSpec = {
  name: 'init',
  operands: { least: 0, most: 1 },
  usage: ['init [DIR] [options]'],
  summary: 'a commented project that runs: config, plugin, tests',
  about:
    'Writes a starter project into DIR, or this folder: a config, one plugin, and a test of each. It overwrites nothing; what a project has ' +
    'already, such as package.json, gets only what it lacks.',
  options: [
    { name: 'template', value: 'reverse', help: 'what kind of proxy to begin with: reverse, forward or l4 (default: reverse)' },
    { name: 'force', help: 'replace files of the template that are there already' },
  ],
  examples: [
    ['sluice init shop && cd shop && sluice', 'from nothing to a running proxy'],
    ['sluice init', 'into this folder'],
  ],
  exits: [ok, [1, 'files are in the way: they are listed, and nothing was written'], usage],
  environment: [],
}

const types: CommandSpec = {
  name: 'types',
  operands: { least: 0, most: 1 },
  usage: ['types [DIR]'],
  summary: 'make `sluice` known to the editor, without node_modules',
  about:
    'Writes tsconfig.json into DIR, or this folder, so that the editor finds the types of `sluice` where the package is not installed. In a ' +
    'tsconfig.json that is there it adds the paths and nothing else; running it again changes nothing.',
  options: [],
  examples: [['sluice types', 'in the folder of a proxy.config.ts']],
  exits: [ok, [1, 'a tsconfig.json could not be changed; the lines to add are printed'], usage],
  environment: [],
}

const pluginNew: CommandSpec = {
  name: 'plugin new',
  operands: { least: 1, most: 1 },
  usage: ['plugin new NAME [options]'],
  summary: 'a plugin as a package: source, test, README',
  about: 'Writes a package that can be published as it is. Nothing is overwritten.',
  options: [{ name: 'dir', value: 'DIR', help: 'where to write it (default: a folder of its name)' }],
  examples: [
    ['sluice plugin new geo', 'sluice-plugin-geo, in a folder of that name'],
    ['sluice plugin new @me/geo --dir geo', 'with a scope, in a folder of your choice'],
  ],
  exits: [ok, [1, 'the folder is not empty'], usage],
  environment: [],
}

const pluginProfile: CommandSpec = {
  name: 'plugin profile',
  operands: { least: 1, most: 1 },
  usage: ['plugin profile NAME [options]'],
  summary: 'what a plugin of the running proxy spends the CPU on',
  about:
    'Records a CPU profile of a plugin while the proxy goes on, tells the five hottest functions, and writes a .cpuprofile, which the ' +
    'DevTools of Chrome open (Performance, Load profile), with the places of your .ts files. For that time the plugin of one worker, the one with ' +
    'the most connections, runs in a process made for it, and afterwards anew where it ran before: what it counts in that worker begins anew ' +
    'twice, and in between the limits of time and memory are wide. That process holds the plugin alone and may open nothing, but without ' +
    `an isolate around the plugin: do not profile one that you would not run. Turns of a few microseconds are seen in part: compare times, do not add them up. ${whichAbout}`,
  options: [
    { name: 'seconds', value: 'N', help: 'for how long, up to 60 (default: 5)' },
    { name: 'output', short: 'o', value: 'FILE', help: 'where to write it (default: NAME.cpuprofile)' },
    ...whichOptions,
  ],
  examples: [
    ['sluice plugin profile geo', 'five seconds, into geo.cpuprofile'],
    ['sluice plugin profile geo --seconds 1 -o /tmp/geo.cpuprofile', 'shorter, and elsewhere'],
  ],
  exits: [[0, 'the profile is written'], [1, 'no such proxy or plugin, or nobody called the plugin: nothing is written'], usage],
  environment: [controlVariable],
}

const transparentRules: CommandSpec = {
  name: 'transparent rules',
  operands: { least: 0, most: 0 },
  usage: ['transparent rules [options]'],
  summary: 'what the firewall needs for transparent listeners',
  about:
    'Prints the rules (nftables, and for tproxy of ip) by which connections of other machines that pass this one get to the transparent listeners of a ' +
    'config. Nothing is changed: read them, then let a shell of root run them. What the proxy itself opens is not sent to it.',
  options: [
    config,
    { name: 'listener', value: 'NAME', help: 'for this one (default: every transparent one)' },
    { name: 'ports', value: 'PORTS', help: 'ports that clients want to go to (default: 80,443)' },
    { name: 'interface', value: 'NAME', help: 'for clients that come in by this one (default: by any)' },
    { name: 'user', value: 'NAME', help: 'also for programs of this machine, but for this user, which the proxy runs as; redirect alone' },
    { name: 'undo', help: 'print what takes the rules away again' },
  ],
  examples: [
    ['sluice transparent rules --interface eth1', 'look at them'],
    ['sluice transparent rules --interface eth1 | sudo sh', 'use them'],
    ['sluice transparent rules --undo | sudo sh', 'and no longer'],
  ],
  exits: [ok, [1, 'no listener is transparent'], usage, [78, 'the config is not valid']],
  environment: [noColor],
}

const completion: CommandSpec = {
  name: 'completion',
  operands: { least: 1, most: 1 },
  usage: ['completion bash|zsh|fish'],
  summary: 'a script that makes the shell complete these words',
  about: 'Prints a script for the shell, which completes commands, options and their values from then on.',
  options: [],
  examples: [
    ['source <(sluice completion bash)', 'in ~/.bashrc; the same with zsh in ~/.zshrc'],
    ['sluice completion fish | source', 'in ~/.config/fish/config.fish'],
  ],
  exits: [ok, usage],
  environment: [],
}

export const commands = {
  run,
  url,
  check,
  explain,
  status,
  reload,
  stop,
  init,
  types,
  pluginNew,
  pluginProfile,
  cachePurge,
  cacheList,
  cacheStat,
  cacheWarm,
  endpointsList,
  endpointsAdd,
  endpointsDrain,
  endpointsUndrain,
  endpointsRemove,
  certDev,
  caCreate,
  caShow,
  caTrustHelp,
  transparentRules,
  completion,
}

export const grammar: Grammar = {
  commands: [
    run,
    check,
    explain,
    status,
    reload,
    stop,
    init,
    types,
    pluginNew,
    pluginProfile,
    cachePurge,
    cacheList,
    cacheStat,
    cacheWarm,
    endpointsList,
    endpointsAdd,
    endpointsDrain,
    endpointsUndrain,
    endpointsRemove,
    certDev,
    caCreate,
    caShow,
    caTrustHelp,
    transparentRules,
    completion,
  ],
  byDefault: run,
  forUrl: url,
}

/** What the overview tells beside each command's own help. */
export const overviewParts = {
  groups: [
    ['Run', [url, run]],
    ['Look', [check, explain, transparentRules, status, endpointsList, cacheStat, cacheList, pluginProfile]],
    ['Change', [reload, stop, endpointsAdd, endpointsDrain, endpointsUndrain, endpointsRemove, cachePurge, cacheWarm]],
    ['Create', [init, types, pluginNew, certDev, caCreate, caShow, caTrustHelp, completion]],
  ],
  examples: [
    ['sluice http://localhost:3000', 'put a proxy on :8080 before what runs on port 3000'],
    ['sluice init shop && cd shop && sluice', 'begin a project of your own, and run it'],
    ['sluice explain GET http://localhost:8080/api/me', 'why that request goes where it goes'],
    ['sluice check && sluice reload', 'tell the running proxy of a new config, if that is valid'],
  ],
} as const
