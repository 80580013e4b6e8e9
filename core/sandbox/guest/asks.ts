/** What the guest has done for it by the host: one question, one answer, both of them JSON. */

type Ask = (method: string, args: unknown) => Promise<unknown>

let implementation: Ask = async (method) => {
  throw new Error(`${method} is not there`)
}

/** Rejects with an Error of the host's words. */
export function ask(method: string, args: unknown): Promise<unknown> {
  return implementation(method, args)
}

export function setAsk(next: Ask): void {
  implementation = next
}
