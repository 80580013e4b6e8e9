/** Errors of callbacks that nobody is below of. */

/** A native callback must not throw: an error there is as uncaught as any, a little later. */
export function throwLater(error: unknown): void {
  setImmediate(() => {
    throw error
  })
}
