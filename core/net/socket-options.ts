/**
 * Options of sockets that Node has no function for (getsockopt(2), setsockopt(2)). Linux and `node:ffi` alone; `SLUICE_NO_FFI=1` does without, and
 * then whoever needs one has to say that it is not to be had.
 */
import { createRequire } from 'node:module'

export interface SocketOptions {
  /** Writes the option's value to the start of `into`; returns 0 or minus errno. */
  read(descriptor: number, option: SocketOption, into: Uint8Array): number
  /** Returns 0 or minus errno. */
  switchOn(descriptor: number, option: SocketOption): number
}

export interface SocketOption {
  readonly level: number
  readonly name: number
}

const [SOL_IP, SOL_IPV6] = [0, 41]
/** linux/netfilter_ipv4.h, linux/netfilter_ipv6/ip6_tables.h: where a connection was meant to go before it was redirected. */
export const ORIGINAL_DESTINATION = { ipv4: { level: SOL_IP, name: 80 }, ipv6: { level: SOL_IPV6, name: 80 } } as const
/** ip(7), IP_TRANSPARENT: accept what is meant for addresses that are not ours. */
export const TRANSPARENT = { ipv4: { level: SOL_IP, name: 19 }, ipv6: { level: SOL_IPV6, name: 75 } } as const

interface Calls {
  getsockopt(descriptor: number, level: number, name: number, into: Uint8Array, length: Uint8Array): number
  setsockopt(descriptor: number, level: number, name: number, value: Uint8Array, length: number): number
  __errno_location(): bigint
}

interface Ffi {
  dlopen(path: null, symbols: object): { readonly functions: Calls }
  toArrayBuffer(pointer: bigint, length: number, copy: boolean): ArrayBuffer
}

const signatures = {
  getsockopt: { arguments: ['int32', 'int32', 'int32', 'buffer', 'buffer'], return: 'int32' },
  setsockopt: { arguments: ['int32', 'int32', 'int32', 'buffer', 'uint32'], return: 'int32' },
  __errno_location: { arguments: [], return: 'pointer' },
}

function load(): SocketOptions | null {
  if (process.platform !== 'linux' || process.env.SLUICE_NO_FFI === '1') return null
  try {
    const ffi = quietly(() => createRequire(import.meta.url)('node:ffi') as Ffi)
    const { functions } = ffi.dlopen(null, signatures)
    const errno = new Int32Array(ffi.toArrayBuffer(functions.__errno_location(), 4, false))
    const length = new Uint32Array(1)
    const lengthBytes = new Uint8Array(length.buffer)
    const one = new Uint8Array(Int32Array.of(1).buffer)
    return {
      read(descriptor, { level, name }, into) {
        length[0] = into.length
        return functions.getsockopt(descriptor, level, name, into, lengthBytes) === 0 ? 0 : -errno[0]!
      },
      switchOn: (descriptor, { level, name }) => (functions.setsockopt(descriptor, level, name, one, one.length) === 0 ? 0 : -errno[0]!),
    }
  } catch {
    return null
  }
}

/** That it is experimental Node says in every process, and none of its users can do anything about it. */
function quietly<T>(run: () => T): T {
  const { emitWarning } = process
  process.emitWarning = () => {}
  try {
    return run()
  } finally {
    process.emitWarning = emitWarning
  }
}

let options: SocketOptions | null | undefined

/** Null where they are not to be had. */
export function getSocketOptions(): SocketOptions | null {
  if (options === undefined) options = load()
  return options
}
