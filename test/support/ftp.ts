/** A small FTP server (RFC 959, 2428): passive transfers, files in memory, and answers of its own where a test wants others. */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { Waiting } from './deadline.ts'

export interface FtpServerOptions {
  /** Instead of the server's own answer; undefined: that. */
  readonly answers?: (command: string) => string | undefined
  readonly greeting?: string
}

export async function startFtp(options: FtpServerOptions = {}): Promise<FtpServer> {
  const server = new FtpServer(options)
  await server.start()
  return server
}

export class FtpServer implements AsyncDisposable {
  readonly files = new Map<string, Buffer>([['a.txt', Buffer.from('hello\r\n')]])
  /** Of all control connections, as they came. */
  readonly commands: string[] = []
  /** Data connections that came. */
  came = 0
  port = 0
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #passive = new Set<Server>()
  readonly #waiting = new Waiting()

  constructor(options: FtpServerOptions) {
    this.#server = createServer((socket) => new Session(this, this.keep(socket), options))
  }

  get address(): string {
    return `127.0.0.1:${this.port}`
  }

  async start(): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    this.port = (this.#server.address() as AddressInfo).port
  }

  keep(socket: Socket): Socket {
    this.#sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => {
      this.#sockets.delete(socket)
      this.#waiting.poke()
    })
    return socket
  }

  said(command: string): void {
    this.commands.push(command)
    this.#waiting.poke()
  }

  /** Resolves when `find` finds something. */
  async eventually<T>(what: string, find: () => T | undefined): Promise<T> {
    return this.#waiting.until(find, () => `no ${what}; commands: ${this.commands.join(', ')}`)
  }

  /** A port for one connection. */
  async listen(): Promise<{ readonly port: number; readonly data: Promise<Socket> }> {
    const server = createServer()
    this.#passive.add(server)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const data = once(server, 'connection').then(([socket]) => {
      server.close()
      this.#passive.delete(server)
      this.came++
      this.#waiting.poke()
      return this.keep(socket as Socket)
    })
    return { port: (server.address() as AddressInfo).port, data }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    for (const server of [...this.#passive, this.#server]) server.close()
  }
}

class Session {
  readonly #server: FtpServer
  readonly #socket: Socket
  readonly #options: FtpServerOptions
  #data: Promise<Socket> | null = null
  #text = ''
  #turn: Promise<void> = Promise.resolve()

  constructor(server: FtpServer, socket: Socket, options: FtpServerOptions) {
    this.#server = server
    this.#socket = socket
    this.#options = options
    this.#say(options.greeting ?? '220 ready')
    socket.on('data', (bytes) => {
      const lines = (this.#text + bytes.toString('latin1')).split('\r\n')
      this.#text = lines.pop()!
      for (const line of lines) this.#turn = this.#turn.then(() => this.#take(line))
    })
  }

  #say(line: string): void {
    this.#socket.write(`${line}\r\n`, 'latin1')
  }

  async #take(command: string): Promise<void> {
    this.#server.said(command)
    const own = this.#options.answers?.(command)
    if (own !== undefined) return this.#say(own)
    const [verb = '', name = ''] = command.split(' ')
    switch (verb.toUpperCase()) {
      case 'USER':
        return this.#say('331 password')
      case 'PASS':
        return this.#say('230 in')
      case 'PWD':
        return this.#say('257 "/"')
      case 'SIZE':
        return this.#say(`213 ${this.#server.files.get(name)?.length ?? 0}`)
      case 'QUIT':
        this.#say('221 bye')
        return void this.#socket.end()
      case 'PASV':
      case 'EPSV':
        return this.#passive(verb)
      case 'LIST':
      case 'NLST':
        return this.#send(Buffer.from([...this.#server.files.keys()].map((one) => `${one}\r\n`).join('')))
      case 'RETR':
        return this.#send(this.#server.files.get(name)!)
      case 'STOR':
        return this.#store(name)
      default:
        return this.#say('200 fine')
    }
  }

  async #passive(verb: string): Promise<void> {
    const { port, data } = await this.#server.listen()
    this.#data = data
    // Behind NAT servers tell addresses that lead nowhere.
    if (verb === 'PASV') this.#say(`227 Entering Passive Mode (10,9,8,7,${port >> 8},${port & 255}).`)
    else this.#say(`229 Entering Extended Passive Mode (|||${port}|)`)
  }

  async #send(bytes: Buffer): Promise<void> {
    this.#say('150 here it comes')
    const socket = await this.#data!
    socket.end(bytes)
    socket.resume()
    await once(socket, 'close')
    this.#say('226 sent')
  }

  async #store(name: string): Promise<void> {
    this.#say('150 go on')
    const parts: Buffer[] = []
    const socket = await this.#data!
    socket.on('data', (bytes: Buffer) => parts.push(bytes))
    await once(socket, 'end')
    socket.end()
    this.#server.files.set(name, Buffer.concat(parts))
    this.#say('226 stored')
  }
}
