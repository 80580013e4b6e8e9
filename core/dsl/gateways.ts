/** Gateways of TCP listeners: what understands a protocol that needs more than its one connection. */

export interface FtpOptions {
  /** Ports that clients of this listener come to for data, from 1024 on: `'50000-50100'`. Default: any that is free. */
  passivePorts?: string | undefined
  /**
   * The IPv4 address that clients of PASV are told, where they reach this machine by another one than it has itself (NAT). Default: the one
   * that they are connected to.
   */
  address?: string | undefined
}
export interface FtpGateway {
  readonly kind: 'ftp'
  readonly options: FtpOptions
}
/** In front of FTP servers (RFC 959, 2428), for passive transfers without encryption. */
export function ftp(options: FtpOptions = {}): FtpGateway {
  return { kind: 'ftp', options }
}
