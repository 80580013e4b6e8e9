/** Text without what stands at its ends, in time that grows with its length: `/[ \t]+$/` tries every place of a run in the middle anew. */

/** Without characters of `edges` at both ends. */
export function trimmed(text: string, edges: string): string {
  let from = 0
  let to = text.length
  while (from < to && edges.includes(text[from]!)) from++
  while (to > from && edges.includes(text[to - 1]!)) to--
  return text.slice(from, to)
}
