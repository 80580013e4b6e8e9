/**
 * Keeps the certificates of the plan in use: orders what is not there, renews what has a third of its time left, and after a failure
 * tries again later and later. One order at a time; whatever fails, what is served stays.
 */
import type { AcmePlan } from '../plan/plan.ts'
import { type KeptCertificate, keep, readCertificate } from './certificate-file.ts'

export interface KeeperOptions {
  /** Gives PEM: the key and the chain. */
  order(plan: AcmePlan): Promise<string>
  /** The file has changed. */
  kept(plan: AcmePlan): void
  log(level: 'info' | 'error', text: string, fields: Readonly<Record<string, string | number>>): void
  now(): number
  /** Calls it after so many milliseconds; returns how to give up. */
  after(ms: number, act: () => void): () => void
}

/** What is told of one certificate. */
export interface CertificateState {
  readonly names: readonly string[]
  readonly directory: string
  /** Null: there is none yet. */
  readonly until: Date | null
  /** When it will be ordered; null: it is being ordered. */
  readonly nextAt: Date | null
  /** Of the last order, if it failed. */
  readonly problem: string | null
}

interface Entry {
  readonly plan: AcmePlan
  dueAt: number
  failures: number
  problem: string | null
}

const MINUTE_MS = 60_000
const LONGEST_PAUSE_MS = 6 * 60 * MINUTE_MS
/** Clocks are set, machines sleep, and others may write the file: it is looked at this often. */
const LOOK_MS = 60 * MINUTE_MS

export class CertificateKeeper {
  readonly #options: KeeperOptions
  #entries: readonly Entry[] = []
  #ordering: Entry | null = null
  #giveUp: (() => void) | null = null
  #isClosed = false

  constructor(options: KeeperOptions) {
    this.#options = options
  }

  /** What is to be kept from now on. What was to be kept before keeps its failures, and an order under way goes on. */
  set(plans: readonly AcmePlan[]): void {
    const before = new Map(this.#entries.map((entry) => [JSON.stringify(entry.plan), entry]))
    this.#entries = plans.map((plan) => before.get(JSON.stringify(plan)) ?? { plan, dueAt: this.#dueAt(plan), failures: 0, problem: null })
    this.#wait()
  }

  get states(): readonly CertificateState[] {
    return this.#entries.map((entry) => {
      const { names, directory, file } = entry.plan
      const nextAt = entry === this.#ordering ? null : new Date(Math.max(entry.dueAt, this.#options.now()))
      return { names, directory, until: readCertificate(file)?.to ?? null, nextAt, problem: entry.problem }
    })
  }

  close(): void {
    this.#isClosed = true
    this.#giveUp?.()
  }

  #dueAt({ file, names }: AcmePlan): number {
    return renewalOf(readCertificate(file), names)
  }

  #wait(): void {
    this.#giveUp?.()
    this.#giveUp = null
    if (this.#isClosed || this.#ordering !== null || this.#entries.length === 0) return
    const next = Math.min(...this.#entries.map(({ dueAt }) => dueAt))
    this.#giveUp = this.#options.after(Math.min(LOOK_MS, Math.max(0, next - this.#options.now())), () => void this.#look())
  }

  async #look(): Promise<void> {
    this.#giveUp = null
    const now = this.#options.now()
    for (const entry of this.#entries) if (entry.failures === 0) entry.dueAt = this.#dueAt(entry.plan)
    const [due] = this.#entries.filter(({ dueAt }) => dueAt <= now).sort((a, b) => a.dueAt - b.dueAt)
    if (due !== undefined) await this.#order(due)
    this.#wait()
  }

  async #order(entry: Entry): Promise<void> {
    const { plan } = entry
    const fields = { names: plan.names.join(', '), directory: plan.directory }
    this.#ordering = entry
    this.#options.log('info', 'ordering a certificate', fields)
    try {
      const pem = await this.#options.order(plan)
      if (this.#isClosed) return
      keep(plan.file, pem)
      entry.failures = 0
      entry.problem = null
      entry.dueAt = this.#dueAt(plan)
      this.#options.log('info', 'there is a new certificate', { ...fields, until: readCertificate(plan.file)?.to.toISOString() ?? '' })
      this.#options.kept(plan)
    } catch (error) {
      entry.failures++
      entry.problem = error instanceof Error ? error.message : String(error)
      const pause = Math.min(LONGEST_PAUSE_MS, MINUTE_MS * 2 ** (entry.failures - 1))
      entry.dueAt = this.#options.now() + pause
      this.#options.log('error', `no certificate: ${entry.problem}`, { ...fields, againInSeconds: pause / 1000 })
    } finally {
      this.#ordering = null
    }
  }
}

/** When two thirds of its time are over; 0: at once, for it is not there or not for these names. */
export function renewalOf(certificate: KeptCertificate | null, names: readonly string[]): number {
  if (certificate === null || names.some((name) => !certificate.names.includes(name))) return 0
  const { from, to } = certificate
  return from.getTime() + ((to.getTime() - from.getTime()) * 2) / 3
}
