/** What is in a folder, as a page of HTML: at most MOST_ENTRIES of it, folders first. */
import { opendir } from 'node:fs/promises'
import { isHidden } from '../net/file-names.ts'

const MOST_ENTRIES = 2000

export async function listFolder(
  folder: string,
  { path, dotfiles }: { readonly path: string; readonly dotfiles: boolean },
): Promise<string> {
  const names: string[] = []
  let isMore = false
  // Leaving the loop closes it.
  for await (const entry of await opendir(folder)) {
    if (!dotfiles && isHidden([entry.name])) continue
    isMore = names.length === MOST_ENTRIES
    if (isMore) break
    names.push(entry.isDirectory() ? `${entry.name}/` : entry.name)
  }
  return pageOf(path, names.sort(foldersFirst), isMore)
}

function foldersFirst(a: string, b: string): number {
  const order = Number(b.endsWith('/')) - Number(a.endsWith('/'))
  return order === 0 ? (a < b ? -1 : 1) : order
}

/** `path`: as it was asked for. */
export function pageOf(path: string, names: readonly string[], isMore: boolean): string {
  const title = escaped(path)
  const up = path === '/' ? [] : ['<li><a href="../">../</a></li>']
  const items = names.map((name) => `<li><a href="./${name.split('/').map(encodeURIComponent).join('/')}">${escaped(name)}</a></li>`)
  const more = isMore ? [`<li>and more than these ${names.length}</li>`] : []
  return [
    '<!doctype html>',
    `<html><head><meta charset="utf-8"><title>${title}</title></head>`,
    `<body><h1>${title}</h1>`,
    '<ul>',
    ...up,
    ...items,
    ...more,
    '</ul></body></html>',
    '',
  ].join('\n')
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`)
}
