/**
 * A function of the config that knows users: asked once for several that wait for the same answer, with a limit of time, and not again for a while. It is
 * trusted, but not believed: only true lets somebody in.
 */
import type { Deadlines, Timed } from '../deadlines.ts'
import type { CheckUser } from '../dsl/users.ts'
import { ProxyError } from '../errors.ts'
import { FairPlaces } from './fair-places.ts'
import { Recent } from './recent.ts'
import { secretDigest } from './secret-table.ts'

const LIMIT_MS = 5_000
const AT_ONCE = 64
const MOST_REMEMBERED = 1024
const RIGHT_MS = 60_000
const WRONG_MS = 5_000

export interface Question {
  readonly name: string
  readonly password: string
  readonly client: string
}

export class AskedUsers {
  readonly #check: CheckUser
  readonly #field: string
  readonly #deadlines: Deadlines
  /** By keyed digests of questions. Apart: who guesses pushes out nobody who was right. */
  readonly #right = new Recent<true>(MOST_REMEMBERED)
  readonly #wrong = new Recent<true>(MOST_REMEMBERED)
  readonly #underWay = new Map<string, Promise<boolean>>()
  readonly #places = new FairPlaces(AT_ONCE)

  /** `field`: where the function stands, for messages: `auth.check`. */
  constructor(check: CheckUser, field: string, deadlines: Deadlines) {
    this.#check = check
    this.#field = field
    this.#deadlines = deadlines
  }

  /** Null: too many are being asked about, or too many of that client. Rejects with a ProxyError. */
  ask(question: Question): boolean | null | Promise<boolean> {
    const digest = secretDigest(Buffer.from(JSON.stringify([question.name, question.password, question.client])))
    const now = this.#deadlines.in(0)
    if (this.#right.get(digest, now) !== undefined) return true
    if (this.#wrong.get(digest, now) !== undefined) return false
    const known = this.#underWay.get(digest)
    if (known !== undefined) return known
    const giveBack = this.#places.take(question.client)
    if (giveBack === null) return null
    const asked = this.#run(question).then((isRight) => {
      const until = this.#deadlines.in(isRight ? RIGHT_MS : WRONG_MS)
      ;(isRight ? this.#right : this.#wrong).set(digest, true, until)
      return isRight
    })
    const ending = asked.finally(() => {
      this.#underWay.delete(digest)
      giveBack()
    })
    this.#underWay.set(digest, ending)
    return ending
  }

  async #run({ name, password, client }: Question): Promise<boolean> {
    const limit = new Limit(this.#field, this.#deadlines)
    try {
      const answer: unknown = await Promise.race([this.#check(name, password, Object.freeze({ client })), limit.isOver])
      if (typeof answer === 'boolean') return answer
      throw new ProxyError('hook_failed', `${this.#field}: it answered with ${kindOf(answer)}; expected true or false`)
    } catch (error) {
      if (error instanceof ProxyError) throw error
      throw new ProxyError('hook_failed', `${this.#field}: ${error instanceof Error ? error.message : String(error)}`, error)
    } finally {
      limit.end()
    }
  }
}

class Limit implements Timed {
  dueAt: number
  slot = -1
  readonly isOver: Promise<never>
  readonly #field: string
  readonly #deadlines: Deadlines
  #reject: (error: ProxyError) => void = () => {}

  constructor(field: string, deadlines: Deadlines) {
    this.#field = field
    this.#deadlines = deadlines
    this.dueAt = deadlines.in(LIMIT_MS)
    this.isOver = new Promise((_, reject) => {
      this.#reject = reject
    })
    deadlines.add(this)
  }

  onDeadline(): void {
    this.#reject(new ProxyError('hook_failed', `${this.#field}: it has not answered within ${LIMIT_MS / 1000} s`))
  }

  end(): void {
    this.#deadlines.remove(this)
  }
}

function kindOf(answer: unknown): string {
  return answer === null ? 'null' : answer === undefined ? 'nothing' : typeof answer
}
