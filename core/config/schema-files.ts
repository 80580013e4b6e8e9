/** `files(…)` of routes: its shape, and that what it names is there. */
import { type Stats, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { namesOf } from '../net/file-names.ts'
import type { Path } from './positions.ts'
import { isObject, type Report, show } from './report.ts'
import type { Parts } from './schema-parts.ts'
import { anything, chosen, flag, made, object, oneOf, oneOrMany, record, refused, type Schema, text, textThat } from './schema-values.ts'

const isInside = (written: string): boolean =>
  !written.startsWith('/') && namesOf(written.replaceAll('%', '%25')) !== null && written !== ''
const nameInside = textThat((written) => (isInside(written) ? null : `expected the name of a file in the folder, got ${show(written)}`))
const index = textThat((written) =>
  isInside(written) && !written.includes('/') ? null : `expected a name such as 'index.html', got ${show(written)}`,
)
const extension = textThat((written) => (/^\.[^/]+$/.test(written) ? null : `expected an extension such as '.map', got ${show(written)}`))
const mediaType = textThat((written) =>
  /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:; ?[\w-]+=[\w-]+)*$/.test(written) ? null : `expected a type such as 'text/css', got ${show(written)}`,
)
const someCodings = oneOrMany(oneOf('br', 'zstd', 'gzip'))

const options = object({
  index: chosen((value) =>
    value === false ? anything : value === true ? refused("expected a name such as 'index.html', or false") : index,
  ),
  listing: flag,
  fallback: nameInside,
  precompressed: chosen((value) => (typeof value === 'boolean' ? anything : someCodings)),
  types: record(mediaType, extension),
  dotfiles: flag,
  links: flag,
})

export const filesTarget: Schema = made({ path: text, options })

/** What is served is no part of the config: it may come later, and the proxy starts without it. */
export function checkFiles({ routes }: Parts, report: Report, folder: string): void {
  for (const { route, path } of routes)
    for (const key of ['to', 'respond']) {
      const target = route[key]
      if (isObject(target) && target.kind === 'files' && typeof target.path === 'string' && isObject(target.options))
        checkRoot(resolve(folder, target.path), { options: target.options, path: [...path, key], report })
    }
}

interface Place {
  readonly options: Readonly<Record<string, unknown>>
  readonly path: Path
  readonly report: Report
}

function checkRoot(root: string, { options, path, report }: Place): void {
  const stats = lookAt(root)
  const at: Path = [...path, { hidden: 'path' }]
  if (typeof stats === 'string') return report.warn(at, stats)
  if (stats === null) return report.warn(at, `there is no folder or file ${root}: until there is, it answers 404`)
  const inside: Path = [...path, { hidden: 'options' }]
  if (stats.isFile()) {
    for (const name of ['index', 'listing', 'fallback'])
      if (options[name] !== undefined) report.warn([...inside, name], `${root} is one file: ${name} is for a folder`, 'key')
    return
  }
  if (typeof options.fallback === 'string' && isInside(options.fallback) && lookAt(resolve(root, options.fallback)) === null)
    report.warn([...inside, 'fallback'], `there is no file ${resolve(root, options.fallback)}`)
}

/** Null: it is not there; text: why nobody knows. */
export function lookAt(path: string): Stats | string | null {
  try {
    return statSync(path, { throwIfNoEntry: false }) ?? null
  } catch (error) {
    return `${path} cannot be read: ${error instanceof Error && 'code' in error ? String(error.code) : String(error)}`
  }
}
