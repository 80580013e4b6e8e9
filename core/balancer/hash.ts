/**
 * Hashes for spreading, 32 bits, the same everywhere and always, so that workers and restarts agree: MurmurHash3. Not for secrets: who
 * knows it can choose keys that fall together, and so one endpoint for all of them.
 */

/** Of the text's UTF-16 units. */
export function hashText(text: string, seed = 0): number {
  let hash = seed
  let i = 0
  for (; i + 1 < text.length; i += 2) hash = mixIn(hash, text.charCodeAt(i) | (text.charCodeAt(i + 1) << 16))
  if (i < text.length) hash ^= scramble(text.charCodeAt(i))
  return spread(hash ^ (text.length * 2))
}

/** Another number for each number, with each bit depending on each. */
export function spread(number: number): number {
  let hash = number
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

function mixIn(hash: number, block: number): number {
  const mixed = hash ^ scramble(block)
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe6546b64) | 0
}

function scramble(block: number): number {
  const mixed = Math.imul(block, 0xcc9e2d51)
  return Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593)
}
