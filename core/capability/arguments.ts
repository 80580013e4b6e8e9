/** Reads what a guest sent, which may be anything: every value is checked for its type and size, and what is wrong is one sentence. */
import { parseDuration } from '../config/units.ts'

export class Arguments {
  /** For messages: `kv.set`, or a part of it: `subtle.sign: key`. */
  readonly #what: string
  readonly #values: Readonly<Record<string, unknown>>

  constructor(what: string, values: unknown) {
    if (!isRecord(values)) throw new Error(`${what} takes an object of arguments`)
    this.#what = what
    this.#values = values
  }

  get(name: string): unknown {
    return Object.hasOwn(this.#values, name) ? this.#values[name] : undefined
  }

  has(name: string): boolean {
    const value = this.get(name)
    return value !== undefined && value !== null
  }

  text(name: string, most: number): string {
    const value = this.get(name)
    if (typeof value !== 'string') throw this.wrong(name, 'takes a string')
    if (value.length > most) throw this.wrong(name, `takes up to ${most} characters`)
    return value
  }

  textOrNull(name: string, most: number): string | null {
    return this.has(name) ? this.text(name, most) : null
  }

  whole(name: string): number {
    const value = this.get(name)
    if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw this.wrong(name, 'takes a whole number')
    return value
  }

  /** In milliseconds; `otherwise` if it was left out. */
  duration(name: string, otherwise: number): number {
    if (!this.has(name)) return otherwise
    const value = this.get(name)
    const ms = typeof value === 'string' ? parseDuration(value) : null
    if (ms === null || ms === 0) throw this.wrong(name, "takes a duration: '500ms', '5s', '2m'")
    return ms
  }

  one<T extends string>(name: string, of: readonly T[], otherwise?: T): T {
    if (otherwise !== undefined && !this.has(name)) return otherwise
    const value = this.get(name)
    const found = of.find((one) => one === value)
    if (found === undefined) throw this.wrong(name, `takes ${of.map((one) => `'${one}'`).join(', ')}`)
    return found
  }

  list(name: string, most: number): readonly unknown[] {
    const value = this.get(name)
    if (!Array.isArray(value)) throw this.wrong(name, 'takes a list')
    if (value.length > most) throw this.wrong(name, `takes up to ${most} entries`)
    return value
  }

  /** Bytes that were sent as base64. */
  bytes(name: string, most: number): Buffer<ArrayBuffer> {
    const value = this.get(name)
    if (typeof value !== 'string' || !isBase64(value)) throw this.wrong(name, 'takes bytes')
    if (base64Size(value) > most) throw this.wrong(name, `takes up to ${most} bytes`)
    return Buffer.from(value, 'base64')
  }

  part(name: string): Arguments {
    return new Arguments(`${this.#what}: ${name}`, this.get(name))
  }

  wrong(name: string, why: string): Error {
    return new Error(`${this.#what}: ${name} ${why}`)
  }
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isBase64(text: string): boolean {
  return text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text)
}

function base64Size(text: string): number {
  return (text.length / 4) * 3 - (text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0)
}
