/** The functions of C and of libuv that kernel.ts calls, and what `node:ffi` is told of them. */

export interface KernelCalls {
  read(fd: number, pointer: bigint, length: number): number
  write(fd: number, pointer: bigint, length: number): number
  writev(fd: number, vector: bigint, count: number): number
  send(fd: number, pointer: bigint, length: number, flags: number): number
  shutdown(fd: number, how: number): number
  recvmsg(fd: number, message: bigint, flags: number): number
  sendmsg(fd: number, message: bigint, flags: number): number
  setsockopt(fd: number, level: number, name: number, value: Uint8Array, length: number): number
  epoll_create1(flags: number): number
  epoll_ctl(epoll: number, how: number, fd: number, event: bigint): number
  epoll_wait(epoll: number, events: bigint, most: number, ms: number): number
  uv_handle_size(type: number): bigint
  uv_prepare_init(loop: bigint, handle: Uint8Array): number
  uv_prepare_start(handle: Uint8Array, callback: bigint): number
  uv_backend_fd(loop: bigint): number
  uv_backend_timeout(loop: bigint): number
  uv_update_time(loop: bigint): void
  uv_prepare_stop(handle: Uint8Array): number
  __errno_location(): bigint
}

export const kernelSignatures = {
  read: { arguments: ['int32', 'pointer', 'uint32'], return: 'int32' },
  write: { arguments: ['int32', 'pointer', 'uint32'], return: 'int32' },
  writev: { arguments: ['int32', 'pointer', 'uint32'], return: 'int32' },
  send: { arguments: ['int32', 'pointer', 'uint32', 'int32'], return: 'int32' },
  shutdown: { arguments: ['int32', 'int32'], return: 'int32' },
  recvmsg: { arguments: ['int32', 'pointer', 'int32'], return: 'int32' },
  sendmsg: { arguments: ['int32', 'pointer', 'int32'], return: 'int32' },
  setsockopt: { arguments: ['int32', 'int32', 'int32', 'buffer', 'uint32'], return: 'int32' },
  epoll_create1: { arguments: ['int32'], return: 'int32' },
  epoll_ctl: { arguments: ['int32', 'int32', 'int32', 'pointer'], return: 'int32' },
  epoll_wait: { arguments: ['int32', 'pointer', 'int32', 'int32'], return: 'int32' },
  uv_handle_size: { arguments: ['int32'], return: 'uint64' },
  uv_prepare_init: { arguments: ['pointer', 'buffer'], return: 'int32' },
  uv_prepare_start: { arguments: ['buffer', 'pointer'], return: 'int32' },
  uv_backend_fd: { arguments: ['pointer'], return: 'int32' },
  uv_backend_timeout: { arguments: ['pointer'], return: 'int32' },
  uv_update_time: { arguments: ['pointer'], return: 'void' },
  uv_prepare_stop: { arguments: ['buffer'], return: 'int32' },
  __errno_location: { arguments: [], return: 'pointer' },
}
