/** Text without what stands at its ends, in time that grows with its length: `/[ \t]+$/` tries every place of a run in the middle anew. */

/** Without characters of `edges` at both ends. */
export function trimmed(text: string, edges: string): string {
  const rest = trimmedEnd(text, edges)
  let from = 0
  while (from < rest.length && edges.includes(rest[from]!)) from++
  return rest.slice(from)
}

/** Without them at its end. */
export function trimmedEnd(text: string, edges: string): string {
  let to = text.length
  while (to > 0 && edges.includes(text[to - 1]!)) to--
  return text.slice(0, to)
}
