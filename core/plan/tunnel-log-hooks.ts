/** Which hooks are asked about the lines of what is no request: connections to TCP and SOCKS listeners, sessions of UDP. */
import type { Hook } from '../hooks.ts'
import { noRequest } from '../net/http1/head.ts'

/** Null: none. Those that are for some requests alone are left out. The list holds hooks, no plan. */
export function tunnelLogHooks(...lists: readonly (readonly Hook[])[]): readonly Hook[] | null {
  const hooks = lists.flat().filter((hook) => hook.onLog !== null && hook.matches(noRequest))
  return hooks.length === 0 ? null : Object.freeze(hooks)
}
