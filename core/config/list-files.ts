/** Where lists that are fetched are kept: a file for each URL. */
import { hash } from 'node:crypto'
import { join, resolve } from 'node:path'

const STORAGE = '.sluice/lists'

/** An absolute path. `folder`: of the config. */
export function fileOfList(url: string, storage: string | undefined, folder: string): string {
  const { hostname } = new URL(url)
  return join(
    resolve(folder, storage ?? STORAGE),
    `${hostname.replace(/[^a-z0-9.-]/gi, '_')}-${hash('sha256', url, 'hex').slice(0, 16)}.txt`,
  )
}

/** `adult.txt`; of one without a path its host. */
export function nameOfList(url: string): string {
  const { hostname, pathname } = new URL(url)
  return pathname.split('/').findLast((part) => part !== '') ?? hostname
}
