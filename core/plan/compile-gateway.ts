/** What understands the protocol of a TCP listener. */
import type { FtpGateway } from '../index.ts'
import { parsePortRange } from '../net/port-range.ts'
import type { GatewayPlan } from './plan.ts'

export function compileGateway({ options: { address, passivePorts } }: FtpGateway): GatewayPlan {
  const ports = passivePorts === undefined ? null : parsePortRange(passivePorts)
  return Object.freeze({ kind: 'ftp', address: address ?? null, ports })
}
