/** The home of one connection inside of a tunnel that ends here: its listener's, with other rules for what is written, and an end of its own. */
import type { Accepted, ConnectionHome } from '../connection/home.ts'
import type { Inside } from '../http/interception.ts'
import type { Service } from '../http/service.ts'
import type { Wire } from '../net/wire.ts'
import type { InterceptionsHome } from './interceptions.ts'

export class InsideHome implements ConnectionHome {
  readonly inside: Inside
  readonly #home: InterceptionsHome
  readonly #ip: string
  /** It counts for nobody any more. */
  readonly #over: () => void
  #connection: Accepted | null = null

  constructor(home: InterceptionsHome, inside: Inside, { ip, over }: { readonly ip: string; readonly over: () => void }) {
    this.#home = home
    this.inside = inside
    this.#ip = ip
    this.#over = over
  }

  carries(connection: Accepted): void {
    this.#connection = connection
  }

  get service(): Service {
    return this.#home.service.inside!
  }

  get draining(): boolean {
    return this.#home.draining || !this.isStillRead
  }

  /** By the plan in force. */
  get isStillRead(): boolean {
    return this.#home.interceptor?.reads(this.inside.name, this.#ip) === true
  }

  end(): void {
    this.#connection?.drain()
  }

  destroy(): void {
    this.#connection?.destroy()
  }

  /** What is asked for there is compared with what it was shown: entering.ts. */
  isMisdirected(): boolean {
    return false
  }

  /** Nobody does inside of TLS: ALPN has said so. */
  speaksHttp2(connection: Accepted, wire: Wire): void {
    wire.destroy()
    this.connectionClosed(connection)
  }

  /** There are no tunnels inside of tunnels: CONNECT is none of its methods. */
  granted(connection: Accepted, { wire }: { readonly wire: Wire }): void {
    this.speaksHttp2(connection, wire)
  }

  becameTunnel(): void {
    this.#over()
    this.#home.becameTunnel()
  }

  tunnelClosed(connection: Accepted): void {
    this.#home.tunnelClosed(connection)
  }

  connectionClosed(connection: Accepted): void {
    this.#over()
    this.#home.connectionClosed(connection)
  }
}
