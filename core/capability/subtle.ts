/**
 * `crypto.subtle` of a plugin, computed by the host: digests and signatures. The guest keeps its keys as data and sends them along;
 * keys that were imported are remembered. Sizes bound the time, and only so much of it runs at once: the threads are shared.
 */
import type { Arguments } from './arguments.ts'
import { hashes, type KeyFacts, Keys, readAlgorithm } from './subtle-keys.ts'

const MOST_DATA = 1024 * 1024
const MOST_SIGNATURE = 1024
/** Of the four threads that Node has for files, zlib and this. */
const MOST_AT_ONCE = 2

type Method = (args: Arguments) => Promise<unknown>

export function createSubtle(): Record<'subtle.digest' | 'subtle.importKey' | 'subtle.sign' | 'subtle.verify', Method> {
  const keys = new Keys()
  const turns = new Turns(MOST_AT_ONCE)
  return {
    'subtle.digest': (args) => {
      const hash = args.one('hash', hashes)
      const data = args.bytes('data', MOST_DATA)
      return turns.run(async () => base64(await crypto.subtle.digest(hash, data)))
    },
    'subtle.importKey': async (args): Promise<KeyFacts> => {
      const data = keys.read(args.part('key'))
      return turns.run(() => keys.describe(data))
    },
    'subtle.sign': (args) => {
      const [key, algorithm] = [keys.read(args.part('key')), readAlgorithm(args.part('algorithm'))]
      const data = args.bytes('data', MOST_DATA)
      return turns.run(async () => base64(await crypto.subtle.sign(algorithm, await keys.get(key, 'sign'), data)))
    },
    'subtle.verify': (args) => {
      const [key, algorithm] = [keys.read(args.part('key')), readAlgorithm(args.part('algorithm'))]
      const [signature, data] = [args.bytes('signature', MOST_SIGNATURE), args.bytes('data', MOST_DATA)]
      return turns.run(async () => crypto.subtle.verify(algorithm, await keys.get(key, 'verify'), signature, data))
    },
  }
}

/** Does a few things at once, the others in their order. */
class Turns {
  #free: number
  readonly #waiting: (() => void)[] = []

  constructor(atOnce: number) {
    this.#free = atOnce
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((begin) => this.#waiting.push(begin))
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#free++
      else next()
    }
  }
}

function base64(bytes: ArrayBuffer): string {
  return Buffer.from(bytes).toString('base64')
}
