/** Which file a path names: the names that lead to it from a folder, none of which leads out of there. Pure. */

/** Null: no file can have such a name. `path` begins with a slash and is normalised. */
export function namesOf(path: string): readonly string[] | null {
  const names: string[] = []
  for (const part of path.split('/')) {
    if (part === '') continue
    const name = part.includes('%') ? decoded(part) : part
    if (name === null || name === '.' || name === '..' || UNFIT.test(name)) return null
    names.push(name)
  }
  return names
}

/** What separates names somewhere. The normal form of a path has them only where the listener lets encoded slashes pass. */
const UNFIT = process.platform === 'win32' ? /[/\\:\0]/ : /[/\0]/

/** Names of files are UTF-8. */
function decoded(part: string): string | null {
  try {
    return decodeURIComponent(part)
  } catch {
    return null
  }
}

export function isHidden(names: readonly string[]): boolean {
  return names.some((name) => name.startsWith('.') && name !== '.well-known')
}
