/** Lists as a config writes them. */
import type { List, OneOrMany } from '../index.ts'

/** The entries of a list with their places as written; `false`, `null` and `undefined` are left out and keep their numbers. */
export function entriesOf<T>(list: List<T> | undefined): (readonly [index: number, entry: T])[] {
  const entries: (readonly [number, T])[] = []
  for (const [i, entry] of (list ?? []).entries())
    if (entry !== false && entry !== null && entry !== undefined) entries.push([i, entry as T])
  return entries
}

export function toList<T>(value: OneOrMany<T>): readonly T[] {
  return Array.isArray(value) ? value : [value as T]
}
