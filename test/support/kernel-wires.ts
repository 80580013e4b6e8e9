/** The wires that a proxy of this process reads, for tests of what they say to their owners. */
import { KernelWire } from '../../core/net/kernel-wire.ts'
import type { WireOwner } from '../../core/net/wire.ts'

const { resume } = KernelWire.prototype

export class KernelWires implements Disposable {
  readonly #all = new Set<KernelWire>()

  constructor() {
    const all = this.#all
    KernelWire.prototype.resume = function (this: KernelWire) {
      all.add(this)
      resume.call(this)
    }
  }

  of(kind: abstract new (...args: never[]) => WireOwner): KernelWire[] {
    return [...this.#all].filter(({ owner }) => owner instanceof kind)
  }

  [Symbol.dispose](): void {
    KernelWire.prototype.resume = resume
  }
}
