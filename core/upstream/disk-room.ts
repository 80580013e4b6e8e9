/** How much of the disk the buffered bodies of one upstream may take together, in this worker. */
export class DiskRoom {
  readonly most: number
  used = 0
  readonly #counted: (change: number) => void

  /** `counted`: told of each change, in bytes. */
  constructor(most: number, counted: (change: number) => void = () => {}) {
    this.most = most
    this.#counted = counted
  }

  /** So many bytes more; negative: less. */
  take(bytes: number): void {
    if (bytes === 0) return
    this.used += bytes
    this.#counted(bytes)
  }
}
