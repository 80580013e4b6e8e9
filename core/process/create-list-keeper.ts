/** The keeper of block lists as the supervisor has it: with the real clock, and over the network. */
import { fetchedAt, fetchList } from './fetch-list.ts'
import { ListKeeper, type ListKeeperOptions } from './list-keeper.ts'

export function createListKeeper({ log, kept }: Pick<ListKeeperOptions, 'log' | 'kept'>): ListKeeper {
  return new ListKeeper({
    ...{ log, kept, now: Date.now, fetchedAt },
    fetch: (plan) => fetchList(plan, Date.now),
    after(ms, act) {
      const timer = setTimeout(act, ms).unref()
      return () => clearTimeout(timer)
    },
  })
}
