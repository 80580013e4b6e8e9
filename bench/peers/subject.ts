/** A proxy under measurement: how it is configured for a lane and started; what each of them must do alike. */
import type { ChildProcess } from 'node:child_process'
import type { Lane } from '../lanes.ts'

export interface SubjectOptions {
  readonly lane: Lane
  /** Where it listens, on 127.0.0.1. */
  readonly port: number
  readonly originPort: number
  /** A line an exchange, as JSON, to a file. */
  readonly accessLog: boolean
  readonly cores: string
  /** A folder of its own. */
  readonly home: string
}

export interface Subject {
  /** Why it cannot run here; null if it can. */
  readonly missing: () => string | null
  /** Starts it; the caller waits until it accepts, and stops it. */
  readonly start: (options: SubjectOptions) => ChildProcess
}
