/**
 * The Huffman code of HPACK (RFC 7541 §5.2, Appendix B). It is canonical, so the lengths of its codes say all of it. Decoding goes half a
 * byte at a time through a table of states; what is not the one way to write a string is refused: wrong or long padding, EOS.
 */

/** Bits of the code of each byte, and of EOS. */
const LENGTHS = [
  [13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28],
  [6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10],
  [13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6],
  [15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28],
  [20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24],
  [22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23],
  [26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27],
  [20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26],
  [30],
].flat()
const EOS = 256
const LONGEST = 30
/** Padding is the beginning of EOS, and shorter than a byte. */
const MOST_PADDING = 7

/** The code of each symbol, right-aligned: shorter ones first, then by symbol. */
export function huffmanCodes(): { readonly codes: readonly number[]; readonly lengths: readonly number[] } {
  const codes: number[] = new Array(LENGTHS.length)
  let next = 0
  for (let length = 1; length <= LONGEST; length++) {
    for (let symbol = 0; symbol <= EOS; symbol++) if (LENGTHS[symbol] === length) codes[symbol] = next++
    next *= 2
  }
  return { codes, lengths: LENGTHS }
}

/** A state is a node of the tree: for each half byte, `next << 10 | symbol << 2 | emits << 1 | mayEnd`; 0: there is no such code. */
type States = Uint32Array

let states: States | null = null

/** Writes what bytes[from, to) mean to `out`, which has room: 8 bits for each 5. Returns how many bytes it wrote; -1: malformed. */
export function huffmanDecode(bytes: Uint8Array, from: number, to: number, out: Uint8Array): number {
  states ??= makeStates()
  let state = 0
  let length = 0
  let mayEnd = true
  for (let at = from; at < to; at++) {
    const byte = bytes[at]!
    for (let shift = 4; shift >= 0; shift -= 4) {
      const step = states[(state << 4) | ((byte >> shift) & 15)]!
      if (step === 0) return -1
      if ((step & 2) !== 0) out[length++] = (step >> 2) & 255
      mayEnd = (step & 1) !== 0
      state = step >> 10
    }
  }
  return mayEnd ? length : -1
}

interface Node {
  zero: Node | number | null
  one: Node | number | null
  readonly depth: number
  readonly onlyOnes: boolean
  index: number
}

function makeStates(): States {
  const root = makeTree()
  const nodes = [root]
  for (const node of nodes) {
    for (const child of [node.zero, node.one]) {
      if (child === null || typeof child === 'number') continue
      child.index = nodes.length
      nodes.push(child)
    }
  }
  const table = new Uint32Array(nodes.length * 16)
  for (const node of nodes) for (let half = 0; half < 16; half++) table[(node.index << 4) | half] = stepFrom(node, half, root)
  return table
}

/** Four bits hold the end of one symbol at the most: the shortest code has five. */
function stepFrom(node: Node, half: number, root: Node): number {
  let at = node
  let emitted = -1
  for (let bit = 3; bit >= 0; bit--) {
    const next = (half >> bit) & 1 ? at.one : at.zero
    if (next === null || next === EOS) return 0
    if (typeof next === 'number') {
      emitted = next
      at = root
    } else at = next
  }
  const mayEnd = at.onlyOnes && at.depth <= MOST_PADDING ? 1 : 0
  return (at.index << 10) | (emitted < 0 ? 0 : (emitted << 2) | 2) | mayEnd
}

function makeTree(): Node {
  const { codes, lengths } = huffmanCodes()
  const make = (depth: number, onlyOnes: boolean): Node => ({ zero: null, one: null, depth, onlyOnes, index: 0 })
  const root = make(0, true)
  for (const [symbol, code] of codes.entries()) {
    let node = root
    for (let bit = lengths[symbol]! - 1; bit > 0; bit--) {
      const isOne = ((code >>> bit) & 1) === 1
      const child = (isOne ? node.one : node.zero) ?? make(node.depth + 1, node.onlyOnes && isOne)
      if (typeof child === 'number') throw new Error('a code is the beginning of another')
      if (isOne) node.one = child
      else node.zero = child
      node = child
    }
    if ((code & 1) === 1) node.one = symbol
    else node.zero = symbol
  }
  return root
}
