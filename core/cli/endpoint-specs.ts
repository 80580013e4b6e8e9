/** `sluice endpoints …`, as the parser reads it and the help tells it. Data alone. */
import type { CommandSpec, OptionSpec } from './arguments.ts'
import { controlVariable, json, ok, usage, whichAbout, whichOptions } from './shared-options.ts'

const exits = [ok, [1, 'no such proxy, upstream or endpoint, or it is so already: nothing has changed'], usage] as const
const lasts =
  'It counts in all workers before the command ends, for workers to come too, and goes on through reloads, until the proxy ends: then the config alone ' +
  'counts again.'

interface Change {
  readonly name: string
  readonly summary: string
  readonly about: string
  readonly options?: readonly OptionSpec[]
  readonly examples: CommandSpec['examples']
}

function change({ name, summary, about, options = [], examples }: Change): CommandSpec {
  return {
    ...{ name: `endpoints ${name}`, operands: { least: 2, most: 2 }, usage: [`endpoints ${name} UPSTREAM ADDRESS [options]`] },
    ...{ summary, about: `${about} ${lasts} ${whichAbout}`, options: [...options, ...whichOptions, json], examples, exits },
    environment: [controlVariable],
  }
}

export const endpointsList: CommandSpec = {
  name: 'endpoints ls',
  operands: { least: 0, most: 1 },
  usage: ['endpoints ls [UPSTREAM] [options]'],
  summary: 'the endpoints of a running proxy, and how they are',
  about: `A line for each endpoint: weight, requests under way and open connections of all workers, and whether it takes requests. ${whichAbout}`,
  options: [...whichOptions, json],
  examples: [['sluice endpoints ls api', 'those of one upstream']],
  exits: [ok, [1, 'no such proxy or upstream'], usage],
  environment: [controlVariable],
}

export const endpointsAdd: CommandSpec = change({
  name: 'add',
  summary: 'an endpoint more, or one back that was removed',
  about:
    'It gets requests from now on, within slowStart if the upstream has one. A config that names it later has the last word on its weight.',
  options: [
    { name: 'weight', value: 'N', help: 'a whole number (default: 1)' },
    { name: 'priority', value: 'N', help: 'lower ones first (default: 0)' },
    { name: 'zone', value: 'NAME', help: 'where it stands' },
  ],
  examples: [['sluice endpoints add api 10.0.0.9:3000 --weight 3', 'beside those of the config']],
})

export const endpointsDrain: CommandSpec = change({
  name: 'drain',
  summary: 'let an endpoint finish what it has',
  about:
    'It gets no new requests, but of clients that stay with it by their cookie for a while; what is under way is finished. `endpoints ls` tells when nothing is left.',
  options: [{ name: 'sticky', value: 'DURATION', help: 'so long clients stay; 0s: not at all (default: 10m)' }],
  examples: [['sluice endpoints drain api 10.0.0.1:3000', 'before that machine is updated']],
})

export const endpointsUndrain: CommandSpec = change({
  name: 'undrain',
  summary: 'an endpoint that drains takes requests again',
  about: 'As if it had never drained.',
  examples: [['sluice endpoints undrain api 10.0.0.1:3000', 'when it is updated']],
})

export const endpointsRemove: CommandSpec = change({
  name: 'remove',
  summary: 'take an endpoint out',
  about:
    'It gets no more requests, its idle connections are closed, and what is under way is finished. One that a discovery finds again stays out.',
  examples: [['sluice endpoints remove api 10.0.0.1:3000', 'a machine that is gone']],
})
