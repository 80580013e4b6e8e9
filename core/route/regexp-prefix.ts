/** The text that every string matched by a RegExp begins with, as far as it can be read off the source; `''` where that is not sure. */

export function literalPrefix({ source, flags }: RegExp): string {
  // In any case, and on any line, it may begin otherwise.
  if (!source.startsWith('^') || /[imy]/.test(flags) || hasAlternatives(source)) return ''
  let prefix = ''
  for (let at = 1; at < source.length; ) {
    const char = source[at]!
    const isEscaped = char === '\\'
    const literal = isEscaped ? source[at + 1]! : char
    if (isEscaped ? /[A-Za-z0-9]/.test(literal) : /[.*+?^${}()|[\]]/.test(literal)) break
    at += isEscaped ? 2 : 1
    // What may stand there several times may not stand there at all.
    if (/[*+?{]/.test(source[at] ?? '')) break
    prefix += literal
  }
  return prefix
}

/** A `|` outside groups: what stands before it says nothing of the rest. */
function hasAlternatives(source: string): boolean {
  let depth = 0
  let inClass = false
  for (let at = 0; at < source.length; at++) {
    const char = source[at]
    if (char === '\\') at++
    else if (inClass) inClass = char !== ']'
    else if (char === '[') inClass = true
    else if (char === '(') depth++
    else if (char === ')') depth--
    else if (char === '|' && depth === 0) return true
  }
  return false
}
