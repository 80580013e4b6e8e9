/** The memory that this process and the kernel share for an io_uring: made, mapped and measured (io_uring_setup(2), io_uring_register(2)). */
import { createRequire } from 'node:module'

/** Queues of 32-bit words; each index counts on without end and is used modulo its queue's size. */
export interface RingMemory {
  /** Submits `count` entries, and waits for `least` completions if `flags` say so. The number submitted, or minus errno. */
  enter(count: number, least: number, flags: number, wait: bigint, waitBytes: bigint): number
  /** Submission entries: struct io_uring_sqe. */
  readonly entries: Int32Array
  readonly entryMask: number
  readonly submissions: Int32Array
  /** In `submissions`: up to where entries are there. */
  readonly submissionTailAt: number
  readonly completions: Int32Array
  readonly completionHeadAt: number
  readonly completionTailAt: number
  /** In `completions`: where the first struct io_uring_cqe is. */
  readonly completionsAt: number
  readonly completionMask: number
  /** struct io_uring_buf_ring. */
  readonly bufferRing: ArrayBuffer
  pointerTo(bytes: Uint8Array): bigint
}

export interface RingSizes {
  readonly submissions: number
  readonly completions: number
  /** A power of two. */
  readonly buffers: number
}

interface Calls {
  mmap(address: bigint, length: bigint, protection: number, flags: number, fd: number, offset: bigint): bigint
  close(fd: number): number
  __errno_location(): bigint
}

interface Ffi {
  dlopen(path: null, symbols: object): { readonly functions: unknown }
  toArrayBuffer(pointer: bigint, length: number, copy: boolean): ArrayBuffer
  getRawPointer(bytes: Uint8Array): bigint
}

const [IO_URING_SETUP, IO_URING_ENTER, IO_URING_REGISTER] = [425, 426, 427]
const SETUP_CQSIZE = 1 << 3
const SETUP_SUBMIT_ALL = 1 << 7
const SETUP_COOP_TASKRUN = 1 << 8
const SETUP_SINGLE_ISSUER = 1 << 12
const SETUP_DEFER_TASKRUN = 1 << 13
const FEAT_SINGLE_MMAP = 1 << 0
const FEAT_NODROP = 1 << 1
const FEAT_EXT_ARG = 1 << 8
const FEATURES = FEAT_SINGLE_MMAP | FEAT_NODROP | FEAT_EXT_ARG
const REGISTER_PBUF_RING = 22
const OFFSET_OF_ENTRIES = 0x1000_0000n
const [PROT_READ_WRITE, MAP_SHARED, MAP_PRIVATE, MAP_ANONYMOUS, MAP_POPULATE] = [3, 1, 2, 0x20, 0x8000]
const MAP_FAILED = 0xffff_ffff_ffff_ffffn
const ENTRY_BYTES = 64
const COMPLETION_BYTES = 16
const BUFFER_BYTES = 16
/** struct io_uring_params, in words: what is asked for, and from where on the offsets of either queue are told. */
const PARAMETERS = { words: 30, completions: 1, flags: 2, features: 5, submissionOffsets: 10, completionOffsets: 20 }
/** struct io_sqring_offsets and struct io_cqring_offsets, in words. */
const SUBMISSION = { tail: 1, mask: 2, array: 6 }
const COMPLETION = { head: 0, tail: 1, mask: 2, entries: 5 }

const mmapSignature = { arguments: ['pointer', 'uint64', 'int32', 'int32', 'int32', 'int64'], return: 'pointer' }
/** The last one is 64 bits of the stack. */
const enterSignature = { arguments: ['int32', 'int32', 'uint32', 'uint32', 'uint32', 'pointer', 'uint64'], return: 'int32' }
const setupSignature = { arguments: ['int32', 'uint32', 'pointer'], return: 'int32' }
const registerSignature = { arguments: ['int32', 'int32', 'uint32', 'pointer', 'uint32'], return: 'int32' }

/** Throws where the kernel lacks something (Linux 6.1 has all of it), or must not be asked, as in most containers. */
export function makeRingMemory(sizes: RingSizes): RingMemory {
  const ffi = createRequire(import.meta.url)('node:ffi') as Ffi
  const callAs = <F>(signature: object): F => (ffi.dlopen(null, { syscall: signature }).functions as { syscall: F }).syscall
  const { mmap, close, __errno_location } = ffi.dlopen(null, {
    mmap: mmapSignature,
    close: { arguments: ['int32'], return: 'int32' },
    __errno_location: { arguments: [], return: 'pointer' },
  }).functions as Calls
  const errno = new Int32Array(ffi.toArrayBuffer(__errno_location(), 4, false))
  const pointerTo = (bytes: Uint8Array): bigint => ffi.getRawPointer(bytes)
  const setUp = callAs<(number: number, entries: number, parameters: bigint) => number>(setupSignature)
  const parameters = new Int32Array(PARAMETERS.words)
  parameters[PARAMETERS.completions] = sizes.completions
  parameters[PARAMETERS.flags] = SETUP_CQSIZE | SETUP_SUBMIT_ALL | SETUP_COOP_TASKRUN | SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN
  const fd = setUp(IO_URING_SETUP, sizes.submissions, pointerTo(new Uint8Array(parameters.buffer)))
  if (fd < 0) throw new Error(`io_uring_setup: errno ${errno[0]}`)
  try {
    if ((parameters[PARAMETERS.features]! & FEATURES) !== FEATURES) throw new Error('io_uring: an old kernel')
    const map = (bytes: number, flags: number, of: number, offset: bigint): ArrayBuffer => {
      const place = mmap(0n, BigInt(bytes), PROT_READ_WRITE, flags, of, offset)
      if (place === MAP_FAILED || place === 0n) throw new Error(`mmap: errno ${errno[0]}`)
      return ffi.toArrayBuffer(place, bytes, false)
    }
    const [entries, completions] = [parameters[0]!, parameters[PARAMETERS.completions]!]
    const submissionOffset = (word: number): number => parameters[PARAMETERS.submissionOffsets + word]!
    const completionOffset = (word: number): number => parameters[PARAMETERS.completionOffsets + word]!
    const bytes = Math.max(
      submissionOffset(SUBMISSION.array) + entries * 4,
      completionOffset(COMPLETION.entries) + completions * COMPLETION_BYTES,
    )
    const queues = new Int32Array(map(bytes, MAP_SHARED | MAP_POPULATE, fd, 0n))
    for (let i = 0; i < entries; i++) queues[submissionOffset(SUBMISSION.array) / 4 + i] = i
    const bufferRing = map(sizes.buffers * BUFFER_BYTES, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0n)
    const registration = new BigUint64Array(5)
    registration[0] = pointerTo(new Uint8Array(bufferRing))
    registration[1] = BigInt(sizes.buffers)
    const register = callAs<(number: number, fd: number, what: number, of: bigint, count: number) => number>(registerSignature)
    const registered = register(IO_URING_REGISTER, fd, REGISTER_PBUF_RING, pointerTo(new Uint8Array(registration.buffer)), 1)
    if (registered < 0) throw new Error(`io_uring_register: errno ${errno[0]}`)
    const call =
      callAs<(number: number, fd: number, count: number, least: number, flags: number, wait: bigint, bytes: bigint) => number>(
        enterSignature,
      )
    return {
      enter: (count, least, flags, wait, waitBytes) => {
        const entered = call(IO_URING_ENTER, fd, count, least, flags, wait, waitBytes)
        return entered >= 0 ? entered : -errno[0]!
      },
      entries: new Int32Array(map(entries * ENTRY_BYTES, MAP_SHARED | MAP_POPULATE, fd, OFFSET_OF_ENTRIES)),
      entryMask: queues[submissionOffset(SUBMISSION.mask) / 4]!,
      submissions: queues,
      submissionTailAt: submissionOffset(SUBMISSION.tail) / 4,
      completions: queues,
      completionHeadAt: completionOffset(COMPLETION.head) / 4,
      completionTailAt: completionOffset(COMPLETION.tail) / 4,
      completionsAt: completionOffset(COMPLETION.entries) / 4,
      completionMask: queues[completionOffset(COMPLETION.mask) / 4]!,
      bufferRing,
      pointerTo,
    }
  } catch (error) {
    close(fd)
    throw error
  }
}
