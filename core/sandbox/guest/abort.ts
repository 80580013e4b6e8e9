/** `AbortController` and `AbortSignal` (WHATWG DOM §3), with the one event there is, and `DOMException` for their reasons. */

export class DOMException extends Error {
  constructor(message = '', name = 'Error') {
    super(message)
    Object.defineProperty(this, 'name', { value: name, configurable: true, writable: true })
  }
}

type Listener = ((event: { type: 'abort'; target: AbortSignal }) => void) | { handleEvent(event: object): void }

let abortOf: (signal: AbortSignal, reason: unknown) => void
const inside = {}

export class AbortSignal {
  aborted = false
  reason: unknown = undefined
  onabort: Listener | null = null
  readonly #listeners = new Map<Listener, { readonly once: boolean }>()

  static {
    abortOf = (signal, reason) => signal.#abort(reason)
  }

  constructor(token?: unknown) {
    if (token !== inside) throw new TypeError('an AbortSignal is made by an AbortController')
  }

  static abort(reason?: unknown): AbortSignal {
    const signal = new AbortSignal(inside)
    signal.#abort(reason)
    return signal
  }
  static timeout(ms: number): AbortSignal {
    const signal = new AbortSignal(inside)
    setTimeout(() => signal.#abort(new DOMException('the time is over', 'TimeoutError')), ms)
    return signal
  }
  static any(signals: Iterable<AbortSignal>): AbortSignal {
    const any = new AbortSignal(inside)
    for (const signal of signals) {
      if (signal.aborted) any.#abort(signal.reason)
      else signal.addEventListener('abort', () => any.#abort(signal.reason), { once: true })
    }
    return any
  }

  throwIfAborted(): void {
    if (this.aborted) throw this.reason
  }
  addEventListener(type: string, listener: Listener | null, options?: { once?: boolean } | boolean): void {
    if (type !== 'abort' || listener === null || this.#listeners.has(listener)) return
    this.#listeners.set(listener, { once: typeof options === 'object' && options.once === true })
  }
  removeEventListener(type: string, listener: Listener | null): void {
    if (type === 'abort' && listener !== null) this.#listeners.delete(listener)
  }
  get [Symbol.toStringTag](): string {
    return 'AbortSignal'
  }

  #abort(reason: unknown = new DOMException('it was aborted', 'AbortError')): void {
    if (this.aborted) return
    this.aborted = true
    this.reason = reason
    const event = { type: 'abort' as const, target: this }
    const listeners = [...this.#listeners.keys()]
    if (this.onabort !== null) listeners.unshift(this.onabort)
    this.#listeners.clear()
    for (const listener of listeners) {
      if (typeof listener === 'function') listener.call(this, event)
      else listener.handleEvent(event)
    }
  }
}

export class AbortController {
  readonly signal = new AbortSignal(inside)

  abort(reason?: unknown): void {
    abortOf(this.signal, reason)
  }
  get [Symbol.toStringTag](): string {
    return 'AbortController'
  }
}
