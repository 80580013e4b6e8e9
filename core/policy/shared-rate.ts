/**
 * How often keys were let through, counted in a store for all proxies that share it: GCRA in one script, so exact whoever asks at the
 * same time, on the clock of the store. A key that has used nothing any more is gone from there.
 */
import { createHash } from 'node:crypto'
import { type Store, scriptOf } from '../store/store.ts'
import type { Rate } from './rate-table.ts'

/** The key holds the time, in microseconds, at which it has used nothing any more; a clock that went back makes nobody wait longer than for all of it. */
const GCRA = scriptOf(`
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local used = math.min(math.max((tonumber(redis.call('GET', KEYS[1])) or 0) - now, 0), most)
local next = used + interval
if next > most then return { 0, 0, next - most, used } end
redis.call('SET', KEYS[1], string.format('%.0f', now + next), 'PX', math.ceil(next / 1000))
return { 1, math.floor((most - next) / interval), 0, next }
`)

/** Longer keys are hashed, and those that look like one that was. */
const LONGEST_KEY = 64

export interface Taken {
  readonly passes: boolean
  /** How many more would be let through now. */
  readonly remaining: number
  /** Microseconds until one more is let through; 0 if it was. */
  readonly waitUs: number
  /** Microseconds until nothing is used any more. */
  readonly resetUs: number
}

export class SharedRate {
  readonly #store: Store
  readonly #prefix: string
  readonly #args: readonly [intervalUs: number, mostUs: number]

  /** `name`: the same wherever the same limit is meant. */
  constructor(store: Store, name: string, { intervalUs, burst }: Rate) {
    this.#store = store
    this.#prefix = `sluice:rate:${name}:`
    this.#args = [intervalUs, intervalUs * burst]
  }

  get isAway(): boolean {
    return this.#store.isAway
  }

  /** Counts one of that key, if that is within its rate. Rejects with StoreError. */
  async take(key: string): Promise<Taken> {
    const isShort = key.length <= LONGEST_KEY && !key.startsWith('#')
    const short = isShort ? key : `#${createHash('sha256').update(key).digest('base64url')}`
    const answer = await this.#store.run(GCRA, [this.#prefix + short], this.#args)
    const [passes, remaining, waitUs, resetUs] = answer as readonly [number, number, number, number]
    return { passes: passes === 1, remaining, waitUs, resetUs }
  }
}
