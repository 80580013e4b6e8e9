/**
 * Has a parent proxy that a connection was opened to lead on (CONNECT, or SOCKS5 with names resolved there), and hands over
 * what is then a tunnel. What the other end has said in the same read goes to whoever owns the wire by then.
 */
import type { ErrorCode } from '../errors.ts'
import { type Parent, parentLine } from '../forward/parent.ts'
import { formatDestination, type NamedDestination } from '../net/destination.ts'
import { readResponseHead } from '../net/http1/response.ts'
import { readPlace } from '../net/socks.ts'
import { socksConnect, socksGreeting, socksUser } from '../net/socks-client.ts'
import type { Wire, WireOwner } from '../net/wire.ts'

/** Calls `over` once, unless the wire is destroyed before. Returns whether anything was heard of the parent. */
export function introduce(
  wire: Wire,
  parent: Parent,
  target: NamedDestination,
  over: (failed: ParentFailed | null, rest: Buffer) => void,
): () => boolean {
  const talk = parent.kind === 'http' ? new ConnectTalk(parent, target) : new SocksTalk(parent, target)
  const introduction = new Introduction(wire, talk, (failed, rest) =>
    over(failed === null ? null : { ...failed, isThere: introduction.isHeard }, rest),
  )
  return () => introduction.isHeard
}

interface Failed {
  readonly code: ErrorCode
  readonly detail: string | null
  /** Another parent is not asked: this one has refused. */
  readonly isFinal: boolean
}

export interface ParentFailed extends Failed {
  /** The parent has said something: whatever failed, it is up. */
  readonly isThere: boolean
}

/** What to do with what has come so far. `used`: so many bytes of it are done with. */
type Step =
  | { readonly kind: 'more' }
  | { readonly kind: 'say'; readonly used: number; readonly bytes: Buffer }
  | { readonly kind: 'open'; readonly used: number }
  | ({ readonly kind: 'failed' } & Failed)

interface Talk {
  readonly first: Buffer
  read(bytes: Buffer): Step
}

/** What a parent says before it leads on. */
const MOST_BYTES = 16_384
const NOTHING = Buffer.alloc(0)
const MORE: Step = { kind: 'more' }

/** Carries a talk out on a wire, which belongs to somebody else once it is over. */
class Introduction implements WireOwner {
  readonly #wire: Wire
  readonly #talk: Talk
  /** `rest`: what came behind. Whoever owns the wire by then gets it, too. */
  readonly #over: (failed: Failed | null, rest: Buffer) => void
  #held: Buffer = Buffer.alloc(0)
  #isOver = false
  isHeard = false

  constructor(wire: Wire, talk: Talk, over: (failed: Failed | null, rest: Buffer) => void) {
    this.#wire = wire
    this.#talk = talk
    this.#over = over
    wire.owner = this
    wire.write('', talk.first, 0, talk.first.length)
    wire.resume()
  }

  onBytes(bytes: Buffer, length: number): void {
    this.isHeard = true
    this.#held = Buffer.concat([this.#held, bytes.subarray(0, length)])
    for (;;) {
      const step = this.#talk.read(this.#held)
      switch (step.kind) {
        case 'more':
          if (this.#held.length > MOST_BYTES) this.#fail(broken('it said too much'))
          return
        case 'failed':
          return this.#fail(step)
        case 'say':
          this.#held = this.#held.subarray(step.used)
          this.#wire.write('', step.bytes, 0, step.bytes.length)
          break
        case 'open':
          return this.#open(this.#held.subarray(step.used))
      }
    }
  }

  onDrain(): void {}

  onEnd(): void {
    this.#fail(broken('it closed the connection'))
  }

  onClose(error: string | null): void {
    this.#fail(broken(error ?? 'it closed the connection'))
  }

  #open(rest: Buffer): void {
    this.#isOver = true
    this.#over(null, rest)
    // Whoever it was opened for owns it by now, or has let go of it.
    if (rest.length > 0 && !this.#wire.closed && this.#wire.owner !== this) this.#wire.owner.onBytes(rest, rest.length)
  }

  #fail(failed: Failed): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#wire.destroy()
    this.#over(failed, NOTHING)
  }
}

class ConnectTalk implements Talk {
  readonly first: Buffer

  constructor(parent: Parent, target: NamedDestination) {
    const place = formatDestination(target)
    this.first = Buffer.from(`CONNECT ${place} HTTP/1.1\r\nHost: ${place}\r\n${parentLine(parent)}\r\n`, 'latin1')
  }

  read(bytes: Buffer): Step {
    const text = bytes.latin1Slice()
    for (let start = 0; ; ) {
      const head = readResponseHead(text, bytes, start, bytes.length, 100)
      if (head === null) return MORE
      if (typeof head === 'string') return { kind: 'failed', ...broken('its answer is malformed') }
      start = head.end
      if (head.status >= 200 && head.status < 300) return { kind: 'open', used: start }
      if (head.status === 407) return { kind: 'failed', ...refused('it wants another name and password') }
      if (head.status >= 200) return { kind: 'failed', ...(BUSY.has(head.status) ? broken : refused)(`it answered ${head.status}`) }
    }
  }
}

const NO_METHOD = 255

class SocksTalk implements Talk {
  readonly first: Buffer
  readonly #parent: Parent
  readonly #target: NamedDestination
  #awaits: 'method' | 'verdict' | 'reply' = 'method'

  constructor(parent: Parent, target: NamedDestination) {
    this.#parent = parent
    this.#target = target
    this.first = socksGreeting(parent.credentials !== null)
  }

  read(bytes: Buffer): Step {
    if (this.#awaits === 'reply') return this.#readReply(bytes)
    if (bytes.length < 2) return MORE
    const [version, said] = bytes as unknown as readonly [number, number]
    if (this.#awaits === 'verdict') return said === 0 ? this.#ask() : { kind: 'failed', ...refused('it wants another name and password') }
    const { credentials } = this.#parent
    if (version !== 5) return { kind: 'failed', ...broken('it does not speak SOCKS5') }
    if (said === 0) return this.#ask()
    if (said === 2 && credentials !== null) {
      this.#awaits = 'verdict'
      return { kind: 'say', used: 2, bytes: socksUser(credentials) }
    }
    return {
      kind: 'failed',
      ...refused(said === NO_METHOD ? 'it wants to know who asks, in another way' : 'it chose what was not offered'),
    }
  }

  #ask(): Step {
    this.#awaits = 'reply'
    return { kind: 'say', used: 2, bytes: socksConnect(this.#target) }
  }

  #readReply(bytes: Buffer): Step {
    if (bytes.length < 2) return MORE
    const [version, code] = bytes as unknown as readonly [number, number]
    if (version !== 5) return { kind: 'failed', ...broken('its answer is malformed') }
    // Some leave out the address when they refuse.
    if (code !== 0) return { kind: 'failed', ...(replies[code] ?? (code === 1 ? broken : refused)(`it answered ${code}`)) }
    const place = readPlace(bytes, 3)
    if (place === 'unknown') return { kind: 'failed', ...broken('its answer is malformed') }
    return place === null ? MORE : { kind: 'open', used: place.end }
  }
}

/** RFC 1928 §6. */
const replies: Readonly<Record<number, Failed>> = {
  2: refused('its rules do not allow it'),
  3: { code: 'connect_failed', detail: 'the network cannot be reached', isFinal: false },
  4: { code: 'connect_failed', detail: 'the host cannot be reached', isFinal: false },
  5: { code: 'connect_refused', detail: 'the connection was refused', isFinal: false },
  6: { code: 'connect_timeout', detail: 'the host did not answer in time', isFinal: false },
}

/** It, or what is behind it, cannot lead on; another may. */
const BUSY: ReadonlySet<number> = new Set([502, 503, 504])

function refused(detail: string): Failed {
  return { code: 'parent_refused', detail, isFinal: true }
}

/** Another one may do better. */
function broken(detail: string): Failed {
  return { code: 'parent_refused', detail, isFinal: false }
}
