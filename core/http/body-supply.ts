/** What the body of an answer is read from: a connection to an endpoint, or what stands in its place. */
export interface BodySupply {
  /** No more until `resume`; what came last stays as it is. */
  pause(): void
  resume(): void
  /** Nobody wants the rest. */
  abort(): void
}
