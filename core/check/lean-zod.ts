/**
 * Loads zod without its languages, of which not a word is said here: they are a third of the modules of the process that checks a
 * config. It is another zod than the one a config may import, which is whole.
 */
import { registerHooks } from 'node:module'

/** What `load` imports of zod it gets lean. */
export async function withLeanZod<T>(load: () => Promise<T>): Promise<T> {
  const hooks = registerHooks({
    resolve(specifier, context, next) {
      const isFromLean = context.parentURL?.endsWith(LEAN) === true
      if (isFromLean && specifier === '../locales/index.js') return { url: NOTHING, format: 'module', shortCircuit: true }
      const found = next(specifier, context)
      return isFromLean || specifier === 'zod/mini' ? { ...found, url: `${found.url}${LEAN}` } : found
    },
  })
  try {
    return await load()
  } finally {
    hooks.deregister()
  }
}

const LEAN = '?lean'
const NOTHING = 'data:text/javascript,'
