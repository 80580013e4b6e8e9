/** `crypto.getRandomValues` and `randomUUID`: ChaCha20 (RFC 8439 §2.3) keyed with entropy that the host gave this isolate alone. */

interface Random {
  getRandomValues<T extends ArrayBufferView>(array: T): T
  randomUUID(): string
}

export function createCrypto(seed: string): Random {
  const state = new Uint32Array(16)
  state.set([0x61707865, 0x3320646e, 0x79622d32, 0x6b206574])
  for (let i = 0; i < 8; i++) for (let j = 0; j < 4; j++) state[4 + i] = (state[4 + i]! << 8) | seed.charCodeAt(4 * i + j)
  const block = new Uint32Array(16)
  const bytes = new Uint8Array(block.buffer)
  let left = 0
  const random: Random = {
    getRandomValues(array) {
      if (!ArrayBuffer.isView(array) || array instanceof Float32Array || array instanceof Float64Array)
        throw new TypeError('getRandomValues takes an array of integers')
      if (array.byteLength > 65536) throw new RangeError('getRandomValues gives at most 65536 bytes')
      const out = new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
      for (let i = 0; i < out.length; i++) {
        if (left === 0) {
          nextBlock(state, block)
          left = 64
        }
        out[i] = bytes[64 - left]!
        left--
      }
      return array
    },
    /** Version 4 (RFC 9562 §5.4). */
    randomUUID() {
      const bytes = random.getRandomValues(new Uint8Array(16))
      bytes[6] = (bytes[6]! & 0x0f) | 0x40
      bytes[8] = (bytes[8]! & 0x3f) | 0x80
      let out = ''
      for (let i = 0; i < 16; i++)
        out += `${i === 4 || i === 6 || i === 8 || i === 10 ? '-' : ''}${bytes[i]! < 16 ? '0' : ''}${bytes[i]!.toString(16)}`
      return out
    },
  }
  return random
}

function nextBlock(state: Uint32Array, out: Uint32Array): void {
  out.set(state)
  for (let round = 0; round < 10; round++) {
    for (let i = 0; i < 4; i++) quarter(out, i, i + 4, i + 8, i + 12)
    for (let i = 0; i < 4; i++) quarter(out, i, 4 + ((i + 1) & 3), 8 + ((i + 2) & 3), 12 + ((i + 3) & 3))
  }
  for (let i = 0; i < 16; i++) out[i] = out[i]! + state[i]!
  state[12] = state[12]! + 1
  if (state[12] === 0) state[13] = state[13]! + 1
}

function quarter(x: Uint32Array, a: number, b: number, c: number, d: number): void {
  x[a] = x[a]! + x[b]!
  x[d] = rotated(x[d]! ^ x[a]!, 16)
  x[c] = x[c]! + x[d]!
  x[b] = rotated(x[b]! ^ x[c]!, 12)
  x[a] = x[a]! + x[b]!
  x[d] = rotated(x[d]! ^ x[a]!, 8)
  x[c] = x[c]! + x[d]!
  x[b] = rotated(x[b]! ^ x[c]!, 7)
}

function rotated(value: number, by: number): number {
  return (value << by) | (value >>> (32 - by))
}
