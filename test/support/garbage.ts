/** What nothing holds any more is gone after this: for tests that ask whether something is still held. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
export const collectGarbage = runInNewContext('gc') as () => void
// Realms of later tests have none.
setFlagsFromString('--no-expose-gc')
