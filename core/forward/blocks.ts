/** What a block list answers: whether it names a host, and by which of its rules. */
export interface BlockedBy {
  /** The file, or where the rule stands in the config. */
  readonly list: string
  readonly rule: string
}

/** `host`: as in a NamedDestination. Null: it is not blocked. */
export type Blocks = (host: string) => BlockedBy | null
