/** A wire whose reads and writes are system calls of our own. */
import type { Socket } from 'node:net'
import { getSystemErrorName } from 'node:util'
import type { StreamHandle } from './bindings.ts'
import { type Descriptor, DescriptorWire } from './descriptor-wire.ts'
import { factsOfHandle, HandleWire } from './handle-wire.ts'
import { getKernel, type Kernel } from './kernel.ts'
import type { ProxyFacts } from './proxy-protocol-writer.ts'
import type { AcceptedWire } from './wire.ts'

/** The wire of a connected handle, by the best means there is. `ownBuffer`: for the side that sends bulk. */
export function wireOver(handle: StreamHandle, ownBuffer: boolean): AcceptedWire {
  const kernel = getKernel()
  return kernel === null ? new HandleWire(handle, ownBuffer) : new KernelWire(kernel, handle, ownBuffer)
}

export class KernelWire extends DescriptorWire implements AcceptedWire {
  constructor(kernel: Kernel, handle: StreamHandle, ownBuffer: boolean) {
    super({ kernel, handle, fd: handle.fd, mask: -1, peer: null }, ownBuffer)
  }

  get descriptor(): number {
    return this.fd
  }

  facts(): ProxyFacts {
    return factsOfHandle(this.handle, this.peerName())
  }

  detach(unread: Uint8Array): Socket {
    return new HandleWire(this.detachHandle(), false).detach(unread)
  }

  detachHandle(): StreamHandle {
    const { kernel, handle, fd, mask } = this.giveUp()
    if (mask >= 0) kernel.unwatch(fd)
    return handle
  }

  /** Like detachHandle, to whoever has the kernel watch it as well. It may be watched, and is told to nobody now. */
  detachDescriptor(): Descriptor {
    return this.giveUp()
  }

  protected override get togetherBytes(): number {
    return TOGETHER_BYTES
  }

  protected override receive(pointer: bigint, length: number): number {
    return this.kernel.read(this.fd, pointer, length)
  }

  protected override transmit(pointer: bigint, length: number): number {
    return this.kernel.write(this.fd, pointer, length)
  }

  protected override transmitTwo(first: bigint, firstLength: number, second: bigint, secondLength: number): number {
    return this.kernel.writeTwo(this.fd, first, firstLength, second, secondLength)
  }

  protected override isDry(length: number, asked: number): boolean {
    return length < asked
  }

  protected override sayEnd(): number {
    return this.kernel.shutdown(this.fd)
  }

  protected override nameOf(code: number): string {
    return getSystemErrorName(code)
  }
}

const TOGETHER_BYTES = 4096
