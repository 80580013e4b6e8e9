/** Which permissions there are: what a plugin may ask for, and a config may grant. */

export const permissionNames = 'net:HOST:PORT, kv, request.body, response.body, stream and credentials'

const plain = new Set(['kv', 'request.body', 'response.body', 'stream', 'credentials'])

export function isPermission(text: string): boolean {
  return plain.has(text) || /^net:([^:[\]]+|\[[\da-f:.]+\]):\d+$/i.test(text)
}
