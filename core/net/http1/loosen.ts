/** Heads of bodies that are changed on their way: what was told about the bytes that were sent does not hold for those that arrive. */
import type { Head, ResponseHead } from './head.ts'

export function loosen(head: Head): void {
  for (const name of ['content-length', 'content-encoding', 'content-md5', 'digest', 'content-digest', 'repr-digest']) head.delete(name)
}

/** The same of a response; also of one that only tells what a GET would get, or that what the client has is still good. */
export function loosenResponse(head: ResponseHead): void {
  loosen(head)
  head.delete('accept-ranges')
  const tag = head.get('etag')
  if (tag?.startsWith('"')) head.set('ETag', `W/${tag}`)
}
