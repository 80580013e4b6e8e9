/** Waiting in tests: no sleeps, every wait has a deadline, and one that passes tells what was there so far. */

export const DEFAULT_DEADLINE_MS = 5_000

/** The promise, or an error `nothing for 5000 ms: <what>` after `ms`. Does not keep the process alive by itself once it is settled. */
export async function within<T>(promise: Promise<T>, what: string | (() => string), ms = DEFAULT_DEADLINE_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(deadlineError(what, ms)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Conditions over something that changes by events: whoever owns it calls `poke` after each change. */
export class Waiting {
  readonly #waits = new Set<() => void>()

  /** Resolves with what `check` returns as soon as that is not `undefined`; `check` may throw to reject at once. */
  async until<T>(check: () => T | undefined, what: string | (() => string), ms = DEFAULT_DEADLINE_MS): Promise<T> {
    const first = check()
    if (first !== undefined) return first
    let poke = (): void => {}
    const found = new Promise<T>((resolve, reject) => {
      poke = () => {
        try {
          const value = check()
          if (value !== undefined) resolve(value)
        } catch (error) {
          reject(error)
        }
      }
    })
    this.#waits.add(poke)
    try {
      return await within(found, what, ms)
    } finally {
      this.#waits.delete(poke)
    }
  }

  poke(): void {
    for (const wait of [...this.#waits]) wait()
  }
}

/** For what tells no event (memory, /proc): asks every 10 ms until the deadline. */
export async function eventually<T>(
  check: () => T | undefined | Promise<T | undefined>,
  what: string | (() => string),
  ms = DEFAULT_DEADLINE_MS,
): Promise<T> {
  const end = performance.now() + ms
  for (;;) {
    const value = await check()
    if (value !== undefined) return value
    if (performance.now() > end) throw deadlineError(what, ms)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** Bytes for a failure message: printable, with escapes, cut in the middle when long. */
export function shown(bytes: Uint8Array | string): string {
  const text = typeof bytes === 'string' ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
  const short = text.length > 1_200 ? `${text.slice(0, 800)} … ${text.length - 1_200} more … ${text.slice(-400)}` : text
  return JSON.stringify(short)
}

function deadlineError(what: string | (() => string), ms: number): Error {
  return new Error(`nothing for ${ms} ms: ${typeof what === 'string' ? what : what()}`)
}
