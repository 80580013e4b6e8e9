/** The known word that a mistyped one was most likely meant to be. */

/** Null if none is near enough: a far-fetched guess is worse than none. */
export function nearest(word: string, known: readonly string[]): string | null {
  let best: string | null = null
  let least = Math.max(1, Math.floor(word.length / 3)) + 1
  for (const candidate of known) {
    // Of two that are as near, the one with the same first letter: that is seldom the wrong one.
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase()) + (startsAlike(word, candidate) ? 0 : 0.5)
    if (distance < least) {
      best = candidate
      least = distance
    }
  }
  return best ?? known.find((candidate) => isLonger(word.toLowerCase(), candidate.toLowerCase())) ?? null
}

function startsAlike(a: string, b: string): boolean {
  return a[0]?.toLowerCase() === b[0]?.toLowerCase()
}

/** `blocklist` for `block`: the word with something behind it. */
function isLonger(word: string, candidate: string): boolean {
  return candidate.length >= 5 && word.startsWith(candidate) && word.length <= 2 * candidate.length
}

/** Insertions, deletions, replacements and swaps of neighbours. */
function editDistance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)]
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1
      row[j] = Math.min(rows[i - 1]![j]! + 1, row[j - 1]! + 1, rows[i - 1]![j - 1]! + cost)
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (isSwap) row[j] = Math.min(row[j]!, rows[i - 2]![j - 2]! + 1)
    }
    rows.push(row)
  }
  return rows[a.length]![b.length]!
}

/** A sentence. The key comes from outside: no more of it is told than anybody writes. */
export function unknownKey(key: string, known: readonly string[]): string {
  const near = key.length > 64 ? null : nearest(key, known)
  return `unknown key ${key.slice(0, 64)}; ${near === null ? `known are ${known.join(', ')}` : `did you mean ${near}?`}`
}
