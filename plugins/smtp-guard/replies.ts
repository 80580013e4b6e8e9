/** Replies of a server of SMTP (RFC 5321 §4.2): read, written, and what of a greeting and of extensions clients are told. Pure. */

/** One line. */
export interface Reply {
  readonly code: string
  /** `-`: another line follows. */
  readonly mark: string
  readonly text: string
}

export function readReply(line: string): Reply | null {
  const [, code, mark = ' ', text = ''] = /^([2-5][0-9]{2})(?:([ -])([^\r\0]*))?$/.exec(line) ?? []
  return code === undefined ? null : { code, mark, text }
}

export function isLast({ mark }: Reply): boolean {
  return mark !== '-'
}

/** Each line but the last says that another follows. */
export function writeReply(lines: readonly Reply[]): string {
  return lines.map(({ code, text }, i) => `${code}${i === lines.length - 1 ? ' ' : '-'}${text}\r\n`).join('')
}

/** Which server it is, and of what version, is nobody's business. */
export function greeting(lines: readonly Reply[], banner: string | null): string {
  const last = lines.at(-1)!
  return banner === null || last.code !== '220' ? writeReply(lines) : writeReply([{ ...last, text: banner }])
}

/**
 * What EHLO is answered with, by the name that the greeting has, and less what would get around a gateway: messages in pieces (RFC 3030), of which the end is not looked for, and TLS unless
 * it may pass.
 */
export function announced(
  lines: readonly Reply[],
  { banner, maxSize, passesTls }: { readonly banner: string | null; readonly maxSize: number; readonly passesTls: boolean },
): string {
  const [first, ...extensions] = lines as readonly [Reply, ...Reply[]]
  const kept = extensions.filter(({ text }) => {
    const name = text.split(' ', 1)[0]!.toUpperCase()
    return name !== 'CHUNKING' && name !== 'BINARYMIME' && name !== 'SIZE' && (passesTls || name !== 'STARTTLS')
  })
  const told = extensions.map(({ text }) => Number(/^SIZE ([1-9]\d{0,15})$/i.exec(text)?.[1])).filter((size) => size > 0)
  // RFC 5321 §4.1.1.1: the name of the server, then what it likes to say.
  const hello = banner === null ? first : { ...first, text: banner.split(' ', 1)[0]! }
  return writeReply([hello, ...kept, { code: first.code, mark: ' ', text: `SIZE ${Math.min(maxSize, ...told)}` }])
}
