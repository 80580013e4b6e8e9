/** A running proxy whose config is saved again and again: each save waits for the one line that tells how it ended. */
import { eventually } from './deadline.ts'
import type { Sluice } from './process.ts'

const DEADLINE_MS = 15_000

/** Saves it, or does `change`, and gives the line `live in …`. Throws when the reload was refused. */
export async function reload(sluice: Sluice, change: string | (() => void)): Promise<string> {
  const [before, refusedBefore] = [liveLines(sluice).length, refusals(sluice).length]
  if (typeof change === 'string') sluice.write('proxy.config.ts', change)
  else change()
  return eventually(
    () => {
      if (refusals(sluice).length > refusedBefore) throw new Error(`refused: ${sluice.stderr.join('\n')}`)
      return liveLines(sluice)[before]
    },
    () => `no line that it is live; ${sluice.stdout.join('\n')}\n${sluice.stderr.join('\n')}`,
    DEADLINE_MS,
  )
}

/** The same for what must be refused: gives what was printed to standard error since. */
export async function refusedReload(sluice: Sluice, change: string | (() => void)): Promise<string> {
  const [printed, refusedBefore, liveBefore] = [sluice.stderr.length, refusals(sluice).length, liveLines(sluice).length]
  if (typeof change === 'string') sluice.write('proxy.config.ts', change)
  else change()
  await eventually(
    () => {
      if (liveLines(sluice).length > liveBefore) throw new Error(`it is live: ${liveLines(sluice).at(-1)}`)
      return refusals(sluice)[refusedBefore]
    },
    'nothing was refused',
    DEADLINE_MS,
  )
  return sluice.stderr.slice(printed).join('\n')
}

export function liveLines(sluice: Sluice): string[] {
  return sluice.stdout.filter((line) => line.startsWith('live in'))
}

export function refusals(sluice: Sluice): string[] {
  return sluice.stderr.filter((line) => line.startsWith('not reloaded'))
}

/** A config with these listeners, `name: http({…})`, and what else is given. */
export function configOf(listeners: string, more = '', before = ''): string {
  return `import { defineConfig, http, redirect, respond, upstream } from 'sluice'
${before}
export default defineConfig({ listeners: { ${listeners} }, log: { access: false }${more === '' ? '' : `, ${more}`} })
`
}
