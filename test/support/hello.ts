/** TLS client hellos written by hand, for what reads them and answers nothing. */

export interface HelloOptions {
  readonly serverName?: string
  readonly alpn?: readonly string[]
  /** So many bytes of padding (RFC 7685). */
  readonly padding?: number
  /** Each record holds so much of it. */
  readonly recordSize?: number
}

export function makeHello({ serverName, alpn = [], padding = 0, recordSize = 16_384 }: HelloOptions = {}): Buffer {
  const name = serverName === undefined ? [] : [extension(0, sized(2, number(0, 1), sized(2, Buffer.from(serverName, 'latin1'))))]
  const protocols = alpn.length === 0 ? [] : [extension(16, sized(2, ...alpn.map((one) => sized(1, Buffer.from(one)))))]
  const filler = padding === 0 ? [] : [extension(21, Buffer.alloc(padding))]
  const versions = extension(43, sized(1, number(0x0304, 2), number(0x0303, 2)))
  const body = [number(0x0303, 2), Buffer.alloc(32, 7), sized(1), sized(2, number(0x1301, 2)), sized(1, number(0, 1))]
  const extensions = sized(2, ...filler, ...name, ...protocols, versions)
  const message = Buffer.concat([number(1, 1), sized(3, ...body, extensions)])
  const records: Buffer[] = []
  for (let at = 0; at < message.length; at += recordSize)
    records.push(number(22, 1), number(0x0301, 2), sized(2, message.subarray(at, at + recordSize)))
  return Buffer.concat(records)
}

function extension(type: number, data: Buffer): Buffer {
  return Buffer.concat([number(type, 2), sized(2, data)])
}

function sized(lengthSize: number, ...parts: readonly Buffer[]): Buffer {
  const data = Buffer.concat(parts)
  return Buffer.concat([number(data.length, lengthSize), data])
}

function number(value: number, size: number): Buffer {
  const bytes = Buffer.alloc(size)
  bytes.writeUIntBE(value, 0, size)
  return bytes
}
