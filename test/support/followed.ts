/** A set that is followed in a test: what was told of it, in order. */
import { type Followed, follow } from '../../core/upstream/discovery/follow.ts'
import { Waiting } from './deadline.ts'

export class Watched implements Disposable {
  /** `a:1 b:2(sticky)`, or `! why`. */
  readonly told: string[] = []
  readonly #waiting = new Waiting()
  readonly #end: () => void

  constructor(set: Followed) {
    this.#end = follow(set, {
      random: () => 0,
      pauseMs: [10, 100],
      told: (found, odd) => {
        if (typeof found === 'string') this.told.push(`! ${found}`)
        else {
          const list = found.map(
            ({ address, drain, weight }) => address + (drain === null ? '' : `(${drain})`) + (weight === 1 ? '' : `*${weight}`),
          )
          this.told.push(list.join(' ') + (odd === null ? '' : ` ! ${odd}`))
        }
        this.#waiting.poke()
      },
    })
  }

  /** Until that was told, beginning with what is new. */
  async until(expected: string | RegExp, ms = 15_000): Promise<void> {
    const is = (told: string): boolean => (typeof expected === 'string' ? told === expected : expected.test(told))
    await this.#waiting.until(
      () => {
        const at = this.told.findIndex(is)
        return at < 0 ? undefined : this.told.splice(0, at + 1)
      },
      () => `no ${expected}, but\n${this.told.join('\n')}`,
      ms,
    )
  }

  [Symbol.dispose](): void {
    this.#end()
  }
}
