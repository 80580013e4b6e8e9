/** What Node has to be started with in a process that has isolates. Without the first it starts in two thirds of the time. */

/** isolated-vm needs it. */
const NO_SNAPSHOT = '--no-node-snapshot'

export const isolateFlags: readonly string[] = [NO_SNAPSHOT]

/** Throws in a process that was started without: what an isolate does there is not defined. */
export function demandIsolateFlags(): void {
  if (!process.execArgv.includes(NO_SNAPSHOT)) throw new Error(`plugins need a process that was started with ${NO_SNAPSHOT}`)
}
