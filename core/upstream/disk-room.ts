/** How much of the disk the buffered bodies of one upstream may take together, in this worker. */
export class DiskRoom {
  readonly most: number
  used = 0

  constructor(most: number) {
    this.most = most
  }
}
