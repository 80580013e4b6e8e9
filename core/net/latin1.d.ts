/** Methods that every Buffer has and @types/node leaves out: the fast way between bytes and text, one character a byte. */
export {}

declare global {
  interface Buffer<TArrayBuffer extends ArrayBufferLike = ArrayBufferLike> {
    latin1Slice(start?: number, end?: number): string
    latin1Write(text: string, offset?: number, length?: number): number
  }
}
