/**
 * What a built-in policy is to the rest: how its options become a hook, what of it goes on through reloads, and what `explain` says
 * of it. Options are valid by then: config/schema-policies.ts has seen them.
 */
import { resolve } from 'node:path'
import { type CacheSet, Caches } from '../cache/caches.ts'
import { loadUserFile, type UserFile } from '../config/user-file.ts'
import { Deadlines } from '../deadlines.ts'
import type { StoreOptions } from '../dsl/store.ts'
import type { Hook } from '../hooks.ts'
import type { RequestHead } from '../net/http1/head.ts'
import type { Store } from '../store/store.ts'
import { Counting } from './counting.ts'

export interface PolicyKind<Options> {
  /** The hook of one use; a policy that stands in several lists is bound once. */
  bind(options: Options, context: PolicyContext): Hook
  /** What it does, in a few words and without secrets; with this request, if that makes a difference. */
  describe(options: Options, request: RequestHead): string
  /** Its `onRequest` asks nobody and counts nothing: `explain` may ask it. */
  readonly isPure: boolean
}

export interface PolicyContext {
  /** The same in every worker and every plan that has this policy with the same options; another for every other one. */
  readonly id: string
  /** Files of the config are looked for in here. */
  readonly folder: string
  readonly deadlines: Deadlines
  readonly counting: Counting
  /** Of the worker, whatever plan it runs on. */
  readonly caches: CacheSet
  /**
   * A store that others share; closed with the plan. Null: nothing is asked over the network here, in a simulation, say. Throws with the name of a file that
   * cannot be read.
   */
  openStore(store: string | StoreOptions): Store | null
  /** A file of users. Throws with a sentence. */
  loadUsers(file: string): UserFile
  /** One request of the proxy's own, and its whole answer. */
  readonly send: Send
  /**
   * What outlives this plan: made once, and the same in every next plan that has this policy with the same options, whichever place it
   * moved to. Gone with the last plan that had it.
   */
  keep<T extends Kept>(make: () => T): T
}

/** Gives up, and lets go of the connection, when the signal says so. */
export type Send = (hop: SentHop, signal: AbortSignal) => Promise<SentAnswer>

export interface SentHop {
  readonly url: URL
  readonly method: string
  readonly fields: readonly (readonly [name: string, value: string])[]
  readonly body: Buffer | null
}

export interface SentAnswer {
  readonly status: number
  readonly fields: readonly (readonly [name: string, value: string])[]
  readonly body: Buffer
}

export interface Kept {
  /** No plan has it any more. */
  close(): void
}

export const noNetwork: Send = () => Promise.reject(new Error('there is no network here'))

/** For whoever only looks: nothing is kept, and nobody else counts. */
export function contextForOne(folder: string): PolicyContext {
  const deadlines = new Deadlines()
  const caches = new Caches(deadlines).open()
  const loadUsers = (file: string): UserFile => loadUserFile(resolve(folder, file))
  return {
    id: '',
    folder,
    deadlines,
    counting: new Counting(),
    send: noNetwork,
    caches,
    openStore: () => null,
    loadUsers,
    keep: (make) => make(),
  }
}
