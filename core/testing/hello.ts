/** The first message of a TLS client: what it tells before anything is secret (RFC 8446 §4.1.2). */

export interface HelloParts {
  /** Null: it names none. */
  readonly serverName: string | null
  readonly alpn: readonly string[]
}

const [SERVER_NAME, ALPN, VERSIONS] = [0, 16, 43]

/** In one record. */
export function writeHello({ serverName, alpn }: HelloParts): Buffer {
  const names = serverName === null ? [] : [extension(SERVER_NAME, sized(2, number(1, 0), sized(2, Buffer.from(serverName, 'latin1'))))]
  const protocols = alpn.map((name) => sized(1, Buffer.from(name, 'latin1')))
  const offered = protocols.length === 0 ? [] : [extension(ALPN, sized(2, ...protocols))]
  const versions = extension(VERSIONS, sized(1, number(2, 0x0304), number(2, 0x0303)))
  const random = Buffer.alloc(32)
  const ciphers = sized(2, number(2, 0x1301), number(2, 0xc02b))
  const extensions = sized(2, ...names, ...offered, versions)
  const body = sized(3, number(2, 0x0303), random, sized(1), ciphers, sized(1, number(1, 0)), extensions)
  return Buffer.concat([number(1, 22), number(2, 0x0301), sized(2, number(1, 1), body)])
}

function extension(type: number, data: Buffer): Buffer {
  return Buffer.concat([number(2, type), sized(2, data)])
}

/** A vector with its length before it. */
function sized(size: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([number(size, body.length), body])
}

function number(size: number, value: number): Buffer {
  const bytes = Buffer.alloc(size)
  bytes.writeUIntBE(value, 0, size)
  return bytes
}
