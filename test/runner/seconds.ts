/** How long files took when they last ran in this checkout: a guess of how long they will. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../support/process.ts'
import type { FileResult } from './file-runner.ts'

const place = join(root, 'node_modules/.test-seconds.json')

/** By file; empty where nothing is known. */
export function secondsOf(): Map<string, number> {
  try {
    return new Map(Object.entries(JSON.parse(readFileSync(place, 'utf8')) as Record<string, number>))
  } catch {
    return new Map()
  }
}

export function keepSeconds(results: readonly FileResult[]): void {
  const known = secondsOf()
  for (const { file, seconds } of results) known.set(file, Math.round(seconds * 10) / 10)
  writeFileSync(place, JSON.stringify(Object.fromEntries(known)))
}
