/** A path as a person would type it here: relative below the working directory, whole elsewhere. */
import { relative } from 'node:path'

export function shortPath(file: string): string {
  const path = relative(process.cwd(), file)
  return path.startsWith('..') ? file : path || '.'
}
