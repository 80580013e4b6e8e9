/**
 * What the runner and a process that runs test files say to each other. An order is a line of JSON on a pipe of its own; what a file
 * prints ends with a mark on both outputs, so that it is known what each of them printed, and when it has ended.
 */

/** Processes of a file are found by this variable in their environment, also when their parent is gone. */
export const MARK = 'SLUICE_TEST_FILE'
export const ORDERS_FD = 3

export interface Order {
  /** From the root of the repository. */
  readonly file: string
  /** For the environment of what the file starts. */
  readonly mark: string
}

export interface Ended {
  readonly exitCode: number
  /** What is not as it was before the file. */
  readonly changed: readonly string[]
  readonly residentBytes: number
}

const BEGIN = '\u001eended '
const END = '\u001e'

export function sayEnded(ended: Ended): string {
  return `${BEGIN}${JSON.stringify(ended)}${END}`
}

/** What was printed before the mark, and what the mark says as soon as all of it is there. */
export function readEnded(text: string): { readonly printed: string; readonly held: string; readonly ended: Ended | null } {
  const begin = text.indexOf(BEGIN)
  if (begin < 0) return { printed: text, held: '', ended: null }
  const [printed, from] = [text.slice(0, begin), begin + BEGIN.length]
  const end = text.indexOf(END, from)
  if (end < 0) return { printed, held: text.slice(begin), ended: null }
  return { printed, held: text.slice(end + END.length), ended: JSON.parse(text.slice(from, end)) as Ended }
}
