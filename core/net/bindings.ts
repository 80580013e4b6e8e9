/**
 * Node's own handles of streams, and of UDP sockets. This is the only file that touches `process.binding`; where it is missing, `canUseHandles` is false and
 * socket-wire.ts serves (about 3 µs a request dearer). `SLUICE_NO_HANDLES=1` chooses that, for tests.
 */

export interface HandleOwner {
  /** One read: bytes in the buffer that was given, or a negative libuv error. */
  received(length: number): void
}

export interface RequestOwner {
  /** A write that could not be finished at once is finished. */
  flushed(status: number, request: WriteRequest): void
  /** A shutdown failed. */
  failed(status: number): void
}

/** What libuv's TCP and Pipe handles have in Node 26 (src/stream_base.cc, src/tcp_wrap.cc). */
export interface StreamHandle {
  onread: ((this: StreamHandle, data: ArrayBuffer | undefined) => void) | null
  /** Whose it is; ours. */
  wire?: HandleOwner | undefined
  readonly fd: number
  readStart(): number
  readStop(): number
  useUserBuffer(buffer: Uint8Array): void
  writeLatin1String(request: object, text: string): number
  writeBuffer(request: object, bytes: Uint8Array): number
  writev(request: object, chunks: readonly unknown[], allBuffers: boolean): number
  shutdown(request: object): number
  close(done?: () => void): void
  reset?(done?: () => void): number
  getpeername?(out: { address?: string; port?: number }): number
  getsockname?(out: { address?: string; port?: number }): number
  setNoDelay?(on: boolean): number
  setKeepAlive?(on: boolean, seconds: number): number
  /** Takes a descriptor over: 0 or a negative libuv error. */
  open(fd: number): number
}

export interface WriteRequest {
  oncomplete: ((this: WriteRequest, status: number) => void) | null
  wire: RequestOwner | null
  /** Keeps lent bytes alive. */
  bytes: Buffer | null
}

/** src/crypto/crypto_tls.cc: a stream of its own over that of `wrap`. Every callback has to be there. */
export interface TlsHandle extends StreamHandle {
  onhandshakestart: (() => void) | null
  onhandshakedone: (() => void) | null
  onclienthello: (() => void) | null
  oncertcb: (() => void) | null
  onnewsession: (() => void) | null
  onkeylog: (() => void) | null
  onerror: ((error: NodeJS.ErrnoException) => void) | null
  /** Names in the form of RFC 7301 §3.1. */
  setALPNProtocols(names: Uint8Array): void
  getServername(): string | null
  isSessionReused(): boolean
  setOCSPResponse(response: Uint8Array): void
  getProtocol(): string | null
  getCipher(): { readonly name: string } | undefined
  /** False: none. */
  getALPNNegotiatedProtocol(): string | false
  /** What arrived before TLS did. */
  receive(bytes: Uint8Array): void
  /** Not from inside one of its callbacks. */
  destroySSL(): void
}

export interface ConnectRequest {
  oncomplete: ((status: number) => void) | null
}

/** src/udp_wrap.cc: a socket of UDP, bound or not. */
export interface UdpHandle {
  readonly fd: number
  /** 0 or a negative libuv error. */
  bind(address: string, port: number, flags: number): number
  bind6(address: string, port: number, flags: number): number
  getsockname(out: { address?: string; port?: number }): number
  /** `size` 0 only asks. Undefined: it could not be done. */
  bufferSize(size: number, isReceive: boolean, problem: object): number | undefined
  close(done?: () => void): void
}

interface Bindings {
  readonly TCP: new (
    type: number,
  ) => StreamHandle & {
    connect(request: ConnectRequest, address: string, port: number): number
    connect6(request: ConnectRequest, address: string, port: number): number
  }
  readonly TCPConnectWrap: new () => ConnectRequest
  readonly tcpSocket: number
  /** Of a unix socket. */
  readonly makePipe: () => StreamHandle
  /** Loads Node's side of UDP: only for who needs it. */
  readonly udp: () => { readonly UDP: new () => UdpHandle; readonly reusePort: number }
  readonly WriteWrap: new () => WriteRequest
  readonly ShutdownWrap: new () => WriteRequest
  /** `context`: what a SecureContext holds. */
  readonly wrapTls: (below: StreamHandle, context: unknown, isServer: boolean, hasActiveWrite: boolean) => TlsHandle
  readonly state: Int32Array
  readonly kRead: number
  readonly kAsync: number
}

function load(): Bindings | null {
  if (process.env.SLUICE_NO_HANDLES === '1') return null
  // Deprecated in the documentation (DEP0111), present in Node 26; the permission model takes it away.
  const binding = (process as unknown as { binding?: (name: string) => Record<string, unknown> }).binding
  let wrapTls: Bindings['wrapTls'] | null = null
  try {
    const stream = binding!.call(process, 'stream_wrap')
    const tcp = binding!.call(process, 'tcp_wrap')
    const state = stream.streamBaseState
    if (!(state instanceof Int32Array) || typeof stream.kReadBytesOrError !== 'number') return null
    return {
      TCP: tcp.TCP as Bindings['TCP'],
      TCPConnectWrap: tcp.TCPConnectWrap as Bindings['TCPConnectWrap'],
      tcpSocket: (tcp.constants as { SOCKET: number }).SOCKET,
      makePipe: () => {
        const { Pipe, constants } = binding!.call(process, 'pipe_wrap') as {
          Pipe: new (type: number) => StreamHandle
          constants: { SOCKET: number }
        }
        return new Pipe(constants.SOCKET)
      },
      udp: () => {
        const udp = binding!.call(process, 'udp_wrap')
        return { UDP: udp.UDP as new () => UdpHandle, reusePort: (udp.constants as { UV_UDP_REUSEPORT: number }).UV_UDP_REUSEPORT }
      },
      WriteWrap: stream.WriteWrap as Bindings['WriteWrap'],
      ShutdownWrap: stream.ShutdownWrap as Bindings['ShutdownWrap'],
      // Loads OpenSSL's side of Node: only for who needs it.
      wrapTls: (...args) => {
        wrapTls ??= binding!.call(process, 'tls_wrap').wrap as Bindings['wrapTls']
        return wrapTls(...args)
      },
      state,
      kRead: stream.kReadBytesOrError,
      kAsync: stream.kLastWriteWasAsync as number,
    }
  } catch {
    return null
  }
}

export const bindings: Bindings | null = load()
export const canUseHandles: boolean = bindings !== null
