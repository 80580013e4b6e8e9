/** `files(…)` of a route → where it is looked for, and how. */
import { resolve } from 'node:path'
import { toList } from '../config/lists.ts'
import type { FileCoding, Files } from '../index.ts'
import type { FilesDestination } from './plan.ts'

const CODINGS: readonly FileCoding[] = ['br', 'zstd', 'gzip']

export function compileFiles({ path, options }: Files, { folder, rewrite }: { folder: string; rewrite: string | null }): FilesDestination {
  const { index = 'index.html', precompressed = false } = options
  const types = Object.entries(options.types ?? {}).map(([extension, type]) => [extension.toLowerCase(), type])
  return {
    kind: 'files',
    root: resolve(folder, path),
    rewrite,
    index: index === false ? null : index,
    listing: options.listing ?? false,
    fallback: options.fallback ?? null,
    precompressed: Object.freeze(typeof precompressed === 'boolean' ? (precompressed ? CODINGS : []) : [...toList(precompressed)]),
    types: Object.freeze(Object.assign(Object.create(null), Object.fromEntries(types))),
    dotfiles: options.dotfiles ?? false,
    links: options.links ?? false,
  }
}
