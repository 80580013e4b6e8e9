/**
 * What code of a config can leave behind in the process that evaluates it: names, changed built-ins, variables of the environment, open
 * handles, files that `require` remembers. Noted before and looked at after, so that a process is asked again only if it is as it was.
 */
import { createRequire } from 'node:module'

type Slot = readonly [owner: object, key: PropertyKey, held: unknown]

export class Surroundings {
  readonly #owners: readonly object[] = builtIns()
  readonly #slots: readonly Slot[] = slotsOf(this.#owners)
  readonly #rest: string = describeRest()

  /** Whether nothing of it is another by now. */
  get areSame(): boolean {
    const keys = this.#owners.reduce((sum, owner) => sum + Reflect.ownKeys(owner).length, 0)
    if (keys !== this.#slots.length) return false
    return this.#slots.every(([owner, key, held]) => Object.is(heldBy(owner, key), held)) && describeRest() === this.#rest
  }
}

/** The global object, what stands in it, and its prototypes. */
function builtIns(): object[] {
  const found = new Set<object>([globalThis])
  for (const key of Reflect.ownKeys(globalThis)) {
    const value: unknown = Object.getOwnPropertyDescriptor(globalThis, key)?.value
    if (!isObject(value) || value === process) continue
    found.add(value)
    const prototype: unknown = Object.getOwnPropertyDescriptor(value, 'prototype')?.value
    if (isObject(prototype)) found.add(prototype)
  }
  return [...found]
}

function slotsOf(owners: readonly object[]): Slot[] {
  return owners.flatMap((owner) => Reflect.ownKeys(owner).map((key): Slot => [owner, key, heldBy(owner, key)]))
}

function heldBy(owner: object, key: PropertyKey): unknown {
  const descriptor = Object.getOwnPropertyDescriptor(owner, key)
  return descriptor === undefined ? GONE : (descriptor.get ?? descriptor.value)
}

const GONE = Symbol('gone')

function describeRest(): string {
  const listeners = process.eventNames().map((name) => `${String(name)} ${process.listenerCount(name)}`)
  const required = Object.keys(createRequire(import.meta.url).cache).filter((file) => !file.includes('/node_modules/'))
  const { env } = process
  return JSON.stringify([env, process.cwd(), process.umask(), listeners, required, process.getActiveResourcesInfo().sort()])
}

function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function'
}
