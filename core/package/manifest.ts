/**
 * The two forms of package.json: a checkout's doors lead to TypeScript, a package's to what was compiled of it. npm packs the file
 * that it finds, so it is exchanged while npm reads it, and only then; the checkout's text comes back byte by byte.
 */
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Manifest {
  readonly name: string
  readonly version: string
  readonly bin: Readonly<Record<string, string>>
  readonly exports: Readonly<Record<string, string | { readonly types: string }>>
  readonly [field: string]: unknown
}

/** Of no use to who installs it. */
const LEFT_OUT = ['scripts', 'devDependencies', 'allowScripts']

/** The package's form: `./core/x.ts` → `./dist/x.js`, with its types. */
export function packedManifest(manifest: Manifest): Manifest {
  const doors = Object.entries(manifest.exports).map(([door, target]) => {
    if (typeof target !== 'string') return [door, { types: compiled(target.types) }]
    return [door, { types: compiled(target).replace(/\.js$/, '.d.ts'), default: compiled(target) }]
  })
  const bin = Object.fromEntries(Object.entries(manifest.bin).map(([name, target]) => [name, compiled(target)]))
  const fields = Object.entries(manifest).filter(([field]) => !LEFT_OUT.includes(field))
  return { ...(Object.fromEntries(fields) as Manifest), bin, exports: { ...Object.fromEntries(doors), './package.json': './package.json' } }
}

function compiled(path: string): string {
  return path.replace(/^\.\/core\//, './dist/').replace(/(?<!\.d)\.ts$/, '.js')
}

/** Where the checkout's own text waits. Not packed: `files` of package.json leaves it out. */
const aside = (root: string): string => join(root, 'dist/checkout.json')

export function exchangeManifest(root: string): void {
  restoreManifest(root)
  const file = join(root, 'package.json')
  const text = readFileSync(file, 'utf8')
  writeFileSync(aside(root), text)
  replaceFile(file, `${JSON.stringify(packedManifest(JSON.parse(text) as Manifest), null, 2)}\n`)
}

/** Does nothing if nothing was exchanged. An edit made in between wins. */
export function restoreManifest(root: string): void {
  if (!existsSync(aside(root))) return
  const file = join(root, 'package.json')
  const text = readFileSync(aside(root), 'utf8')
  const packed = `${JSON.stringify(packedManifest(JSON.parse(text) as Manifest), null, 2)}\n`
  if (readFileSync(file, 'utf8') === packed) replaceFile(file, text)
  rmSync(aside(root), { force: true })
}

/** At no moment half written. */
function replaceFile(file: string, text: string): void {
  writeFileSync(`${file}.new`, text)
  renameSync(`${file}.new`, file)
}
