/** Interception: its shape, and that its authority can sign and is nobody else's. */
import { X509Certificate } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { exposureOf, openAuthority } from '../forward/authority.ts'
import type { Path } from './positions.ts'
import { isObject, type Plain, type Report } from './report.ts'
import type { ListenerPart } from './schema-parts.ts'
import { hostPattern } from './schema-route.ts'
import { chosen, flag, list, object, oneOf, refused, type Schema, text, textThat, whole } from './schema-values.ts'

const file = textThat((written) =>
  written.includes('-----BEGIN') ? 'the authority is kept in files, not in the config: its key is read by its owner alone' : null,
)

const everything = refused('with * in except nothing is intercepted: leave intercept out')

export const interceptOptions: Schema = object(
  {
    ca: object({ cert: file, key: file, create: flag }, ['cert', 'key']),
    except: list(chosen((value) => (value === '*' ? everything : hostPattern))),
    verifyUpstream: chosen((value) => (value === false ? flag : object({ ca: text }))),
    exceptAfter: whole(1),
    names: oneOf('asked', 'server'),
  },
  ['ca'],
)

export interface InterceptCheck {
  /** Paths are from here. */
  readonly folder: string
  /** Gets the absolute path of every file that is asked for. */
  readonly named: Set<string>
  readonly now: number
}

const DAY_MS = 86_400_000
/** An authority that ends sooner is warned of: clients have to be told of the next one. */
const SOON_DAYS = 30

export function checkInterception(listeners: readonly ListenerPart[], report: Report, check: InterceptCheck): void {
  for (const { options: listener, path } of listeners) {
    const { intercept } = listener
    if (!isObject(intercept) || !isObject(intercept.options)) continue
    const at: Path = [...path, 'intercept', { hidden: 'options' }]
    const { ca, verifyUpstream } = intercept.options
    if (isObject(ca)) checkAuthority(ca, [...at, 'ca'], report, check)
    if (verifyUpstream === false)
      report.warn(
        [...at, 'verifyUpstream'],
        'whoever answers for a site is believed: clients see a good certificate, whatever the real one is',
      )
    else if (isObject(verifyUpstream)) checkMore(verifyUpstream.ca, [...at, 'verifyUpstream', 'ca'], report, check)
  }
}

function checkAuthority({ cert, key, create }: Plain, path: Path, report: Report, { folder, named, now }: InterceptCheck): void {
  if (!isFile(cert) || !isFile(key)) return
  const files = { cert: resolve(folder, cert), key: resolve(folder, key) }
  for (const one of [files.cert, files.key]) named.add(one)
  const isThere = [existsSync(files.cert), existsSync(files.key)]
  if (create === true && !isThere.includes(true)) return
  if (!isThere[0]) return report.error([...path, 'cert'], `there is no file ${files.cert}: sluice ca create makes one`)
  if (!isThere[1]) return report.error([...path, 'key'], `there is no file ${files.key}: it belongs to ${files.cert}`)
  try {
    const exposed = exposureOf(files.key)
    if (exposed !== null) return report.error([...path, 'key'], exposed)
    const { certificate } = openAuthority(files, now)
    const days = Math.floor((certificate.validToDate.getTime() - now) / DAY_MS)
    if (days < SOON_DAYS)
      report.warn([...path, 'cert'], `the authority in ${files.cert} expires in ${days} days: clients have to trust another one by then`)
  } catch (error) {
    report.error(path, `the authority in ${files.cert} cannot be used: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** Authorities of servers, beside the public ones. */
function checkMore(ca: unknown, path: Path, report: Report, { folder, named }: InterceptCheck): void {
  if (typeof ca !== 'string' || ca === '') return
  const isPem = ca.includes('-----BEGIN')
  const place = resolve(folder, ca)
  if (!isPem) named.add(place)
  try {
    new X509Certificate(isPem ? ca : readFileSync(place))
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    report.error(
      path,
      isMissing ? `there is no file ${place}` : `there is no certificate in PEM form in ${isPem ? 'the text given' : place}`,
    )
  }
}

function isFile(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && !value.includes('-----BEGIN')
}
