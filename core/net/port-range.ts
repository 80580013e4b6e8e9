/** Ranges of ports as people write them, without those that a system keeps for its services. */

export interface PortRange {
  readonly from: number
  readonly to: number
}

/** `50000-50100`. Null: it is none, or begins below 1024. */
export function parsePortRange(written: string): PortRange | null {
  const [, first, last] = /^(\d{4,5})-(\d{4,5})$/.exec(written) ?? []
  const [from, to] = [Number(first), Number(last)]
  return from >= 1024 && from <= to && to <= 65535 ? { from, to } : null
}
