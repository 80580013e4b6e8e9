/**
 * One running proxy for tests of a file that only want their config to be live: each takes it over by a reload, which costs a tenth of a
 * start. What it has printed before is forgotten, and nobody is connected; one that does not come back in order gives way to another.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Sluice, startSluice } from './process.ts'
import { reload } from './reloading.ts'

interface Suite {
  after(run: () => Promise<void>): void
}

/** Reloads until nobody is connected any more. */
const MOST_RELOADS = 20

export class SharedSluice {
  readonly #args: readonly string[]
  #running: Sluice | null = null
  #turn = 0

  /** Ends it after the tests of the file. */
  constructor(suite: Suite, args: readonly string[]) {
    this.#args = args
    suite.after(async () => {
      await this.#running?.stop()
    })
  }

  /** Ports are told once, by who starts: a listener that two tests ask `port` for must be the same in both. */
  async take(config: string, files: Readonly<Record<string, string>> = {}): Promise<Sluice> {
    const left = this.#running
    this.#running = null
    // A test may have ended it.
    const isThere = left !== null && left.processes().length > 0
    const taken = isThere ? await this.#takeOver(left, config, files).catch(() => null) : null
    if (taken === null) await left?.kill()
    this.#running = taken ?? (await startSluice({ config, files, args: this.#args }))
    return this.#running
  }

  async #takeOver(sluice: Sluice, config: string, files: Readonly<Record<string, string>>): Promise<Sluice> {
    for (const [path, text] of Object.entries(files)) {
      const place = join(sluice.folder, path)
      // A change of what the last config imports would be a reload of its own.
      if (!existsSync(place) || readFileSync(place, 'utf8') !== text) sluice.write(path, text)
    }
    for (let i = 0; ; i++) {
      const line = await reload(sluice, `${config}// taken ${++this.#turn}\n`)
      if (line.endsWith(' of 0 connections touched')) break
      if (i === MOST_RELOADS) throw new Error(`somebody stays connected: ${line}`)
    }
    const lines = sluice.stdout.filter((line) => /^(listening|ready)/.test(line))
    sluice.stdout.splice(0, sluice.stdout.length, ...lines)
    sluice.stderr.length = 0
    return sluice
  }
}
