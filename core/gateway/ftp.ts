/**
 * The control connection of FTP (RFC 959, RFC 2428): commands go to the server one at a time, ports that it opens for data are replaced by
 * ports here, and what would have it connect to elsewhere, or hide commands from this gateway, never reaches it.
 */
import type { Gateway, Step } from './gateway.ts'

export interface FtpOptions {
  /** The address that clients of PASV are told; null: there is none of IPv4. */
  readonly announced: string | null
}

interface Command {
  /** In upper case. */
  readonly verb: string
  readonly argument: string
  /** As it goes on. */
  readonly line: string
}

/** The server would connect to where the client says (CVE-1999-0017), or open ports in ways that are not understood here. */
const ACTIVE = new Set(['PORT', 'EPRT', 'LPRT', 'LPSV', 'SPSV', 'CPSV', 'SSCN'])
/** RFC 2228: commands that follow could not be read. */
const SECURING = new Set(['AUTH', 'ADAT', 'CCC', 'CONF', 'ENC', 'MIC'])
/** They make sense while a transfer is under way. */
const MEANWHILE = new Set(['ABOR', 'STAT'])
/** What listens below is no port for data: a forged answer must not lead there. */
const LEAST_PORT = 1024

export class FtpGateway implements Gateway {
  readonly maxLineBytes = 4096
  readonly #announced: string | null
  /** No command is waiting for its answer. The greeting is one, too. */
  #isAnswered = false
  /** What is waited for has been answered by 1xx so far. */
  #isUnderWay = false
  #wanted: 'PASV' | 'EPSV' | null = null
  /** The answer of several lines that we are in; null: none. */
  #lines: string | null = null

  constructor({ announced }: FtpOptions) {
    this.#announced = announced
  }

  fromClient(line: string): readonly Step[] | null {
    if (!this.#isAnswered && !this.#isUnderWay) return null
    const command = readCommand(line)
    if (!this.#isAnswered && !(command !== null && MEANWHILE.has(command.verb))) return null
    if (command === null) return answer('500 Not a command.')
    const { verb } = command
    if (ACTIVE.has(verb)) return answer('502 Only passive transfers pass here: use PASV or EPSV.')
    if (SECURING.has(verb)) return answer('502 Encryption would hide commands from the gateway here.')
    if (verb === 'PASV' || verb === 'EPSV') return this.#ask(verb, command)
    return this.#pass(command.line)
  }

  #ask(verb: 'PASV' | 'EPSV', { argument }: Command): readonly Step[] {
    // RFC 2428 §4: it asks for nothing, but promises.
    if (verb === 'EPSV' && argument.toUpperCase() === 'ALL') return this.#pass('EPSV ALL')
    // The family is that of the client's side; the server's may be another one.
    if (verb === 'PASV' ? argument !== '' : !/^[12]?$/.test(argument)) return answer('501 That argument is not understood.')
    if (verb === 'PASV' && this.#announced === null) return answer('425 There is no IPv4 address to be told: use EPSV.')
    this.#wanted = verb
    return this.#pass(verb)
  }

  #pass(line: string): readonly Step[] {
    this.#isAnswered = false
    this.#isUnderWay = false
    return [{ kind: 'say', to: 'endpoint', line }]
  }

  fromEndpoint(line: string): readonly Step[] {
    if (/[\r\0]/.test(line)) return [garbage('a line with a bare CR or a NUL')]
    if (this.#lines !== null) {
      if (line === this.#lines || line.startsWith(`${this.#lines} `)) {
        this.#replied(this.#lines)
        this.#lines = null
      }
      return answer(line)
    }
    const [, code, separator] = /^([1-5]\d\d)([ -]|$)/.exec(line) ?? []
    if (code === undefined) return [garbage('no answer of FTP')]
    if (code === '227' || code === '229') return [this.#opened(code, line)]
    if (separator === '-') this.#lines = code
    else this.#replied(code)
    return answer(line)
  }

  /** The address in it counts for nothing. */
  #opened(code: '227' | '229', line: string): Step {
    if (this.#wanted !== (code === '227' ? 'PASV' : 'EPSV')) return garbage(`${code} that nobody asked for`)
    const port = code === '227' ? readPassive(line) : readExtendedPassive(line)
    return port === null ? garbage(`${code} without a port for data`) : { kind: 'door', port }
  }

  #replied(code: string): void {
    if (code.startsWith('1')) {
      this.#isUnderWay = true
      return
    }
    // What ends a transfer that was under way before is no answer to PASV.
    if (this.#wanted !== null && (code < '400' || code === '426')) return
    this.#settled()
  }

  #settled(): void {
    this.#wanted = null
    this.#isAnswered = true
    this.#isUnderWay = false
  }

  doorOpened(port: number | null): readonly Step[] {
    const verb = this.#wanted
    this.#settled()
    if (port === null) return answer('425 No data connection is to be had here now.')
    if (verb === 'EPSV') return answer(`229 Entering Extended Passive Mode (|||${port}|)`)
    return answer(`227 Entering Passive Mode (${this.#announced!.replaceAll('.', ',')},${port >> 8},${port & 255})`)
  }

  tooLong(from: 'client' | 'endpoint'): Step {
    if (from === 'endpoint') return garbage('a line that is too long')
    return { kind: 'end', line: '500 That line is too long.', reason: 'client_message', detail: 'a line that is too long' }
  }
}

/** RFC 959 §4.1.1. Whatever a server could read in another way is none. */
function readCommand(line: string): Command | null {
  // Interrupt Process and Data Mark, as Telnet has them before ABOR.
  const text = line.replace(/^(?:\xff[\xf2\xf4])+/, '')
  if (/[\r\0]/.test(text) || text.replaceAll('\xff\xff', '').includes('\xff')) return null
  const [, verb, argument = ''] = /^([A-Za-z]{3,4})(?: (.*))?$/s.exec(text) ?? []
  return verb === undefined ? null : { verb: verb.toUpperCase(), argument: argument.trim(), line: text }
}

/** `227 Entering Passive Mode (h1,h2,h3,h4,p1,p2)`; some leave the brackets out (RFC 1123 §4.1.2.6). */
function readPassive(line: string): number | null {
  const [, digits] = /^227 [^\d]*(\d{1,3}(?:,\d{1,3}){5})[^\d,]*$/.exec(line) ?? []
  const numbers = digits?.split(',').map(Number)
  if (numbers === undefined || numbers.some((one) => one > 255)) return null
  return asPort(numbers[4]! * 256 + numbers[5]!)
}

/** RFC 2428 §3: `229 Entering Extended Passive Mode (|||6446|)`. */
function readExtendedPassive(line: string): number | null {
  const [, , digits] = /^229 [^(]*\(([!-/:-~])\1\1(\d{1,5})\1\)[^\d()]*$/.exec(line) ?? []
  return digits === undefined ? null : asPort(Number(digits))
}

function asPort(port: number): number | null {
  return port >= LEAST_PORT && port <= 65535 ? port : null
}

function answer(line: string): readonly Step[] {
  return [{ kind: 'say', to: 'client', line }]
}

function garbage(detail: string): Step {
  return { kind: 'end', line: '421 The server said what is not understood.', reason: 'upstream_message', detail }
}
