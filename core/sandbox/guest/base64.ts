/** `atob` and `btoa` (WHATWG Infra, forgiving base64). */

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

export function btoa(data: string): string {
  const text = `${data}`
  let out = ''
  for (let i = 0; i < text.length; i += 3) {
    const a = text.charCodeAt(i)
    const b = text.charCodeAt(i + 1)
    const c = text.charCodeAt(i + 2)
    if (a > 255 || b > 255 || c > 255) throw new TypeError('btoa takes characters up to U+00FF')
    out += LETTERS[a >> 2]! + LETTERS[((a & 3) << 4) | (b >> 4)]!
    out += i + 1 < text.length ? LETTERS[((b & 15) << 2) | (c >> 6)]! : '='
    out += i + 2 < text.length ? LETTERS[c & 63]! : '='
  }
  return out
}

export function atob(data: string): string {
  let text = `${data}`.replace(/[\t\n\f\r ]/g, '')
  if (text.length % 4 === 0) text = text.replace(/==?$/, '')
  if (text.length % 4 === 1 || /[^A-Za-z0-9+/]/.test(text)) throw new TypeError('atob takes base64')
  let out = ''
  let bits = 0
  let count = 0
  for (let i = 0; i < text.length; i++) {
    bits = ((bits << 6) | LETTERS.indexOf(text[i]!)) & 0xfff
    count += 6
    if (count >= 8) {
      count -= 8
      out += String.fromCharCode((bits >> count) & 255)
    }
  }
  return out
}
