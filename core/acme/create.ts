/** The keeper of certificates as the supervisor has it: with the real clock, and orders at real authorities. */
import type { AcmePlan } from '../plan/plan.ts'
import { CertificateKeeper, type KeeperOptions } from './keeper.ts'
import { orderCertificate, type Showing } from './order.ts'

export interface CreateOptions extends Pick<KeeperOptions, 'log' | 'kept'>, Showing {}

export function createKeeper({ show, changeRecord, log, kept }: CreateOptions): CertificateKeeper {
  return new CertificateKeeper({
    ...{ log, kept, now: Date.now },
    order: (plan: AcmePlan) => orderCertificate(plan, { show, changeRecord }),
    after(ms, act) {
      const timer = setTimeout(act, ms).unref()
      return () => clearTimeout(timer)
    },
  })
}
