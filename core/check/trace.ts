/**
 * Where a change can befall a file: the links on the way to it, the folders around it, the place at which it is missing. What is found
 * of folders is remembered within one tracer, so that thousands of files cost little.
 */
import { lstatSync, readlinkSync } from 'node:fs'
import { dirname, join, parse, resolve, sep } from 'node:path'

export interface Trace {
  /** What it is when all links are followed; null if it is not there. */
  readonly real: string | null
  /** Paths at which something may happen that concerns it. */
  readonly spots: ReadonlySet<string>
  /** The folders that these are in, and that exist. */
  readonly folders: ReadonlySet<string>
}

/** As the kernel does. */
const MOST_LINKS = 40
/** So many folders above a file may be replaced as a whole. */
const FOLDERS_ABOVE = 2

export class Tracer {
  /** A folder, the target of a link, or nothing of both. */
  readonly #kinds = new Map<string, 'folder' | 'other' | { readonly target: string } | null>()

  trace(path: string): Trace {
    const spots = new Set<string>()
    const folders = new Set<string>()
    const see = (spot: string): void => {
      spots.add(spot)
      folders.add(dirname(spot))
    }
    let { root: at } = parse(path)
    let rest = partsOf(path)
    for (let links = 0; rest.length > 0; ) {
      const next = join(at, rest[0]!)
      const kind = this.#kindOf(next)
      if (kind === null) {
        see(next)
        return { real: null, spots, folders }
      }
      if (typeof kind === 'object') {
        see(next)
        if (++links > MOST_LINKS) return { real: null, spots, folders }
        at = parse(kind.target).root
        rest = [...partsOf(kind.target), ...rest.slice(1)]
      } else {
        at = next
        rest = rest.slice(1)
      }
    }
    for (const one of [path, at]) {
      let spot = one
      for (let i = 0; i <= FOLDERS_ABOVE && dirname(spot) !== spot; i++, spot = dirname(spot)) see(spot)
    }
    return { real: at, spots, folders }
  }

  #kindOf(path: string) {
    let kind = this.#kinds.get(path)
    if (kind !== undefined) return kind
    kind = kindOf(path)
    this.#kinds.set(path, kind)
    return kind
  }
}

function partsOf(path: string): string[] {
  return path.slice(parse(path).root.length).split(sep).filter(Boolean)
}

function kindOf(path: string) {
  try {
    const stats = lstatSync(path)
    if (stats.isSymbolicLink()) return { target: resolve(dirname(path), readlinkSync(path)) }
    return stats.isDirectory() ? 'folder' : 'other'
  } catch {
    // Gone, or not to be seen: the same to who wants to read it.
    return null
  }
}
