/** Which permissions there are: what a plugin may ask for, and a config may grant. */

export const permissionNames = 'net:HOST:PORT, kv, request.body, response.body, stream and credentials'

const plain = new Set(['kv', 'request.body', 'response.body', 'stream', 'credentials'])

export function isPermission(text: string): boolean {
  const [, port] = /^net:(?:[^:/?#@[\]\\*\s]+|\[[\da-f:.]+\]):(\d{1,5})$/i.exec(text) ?? []
  return plain.has(text) || (port !== undefined && Number(port) > 0 && Number(port) < 65536)
}
