/** The program's own log, in the supervisor: pino's JSON lines on standard error, or lines for people where that is a terminal. */
import pino from 'pino'
import { LineSink } from './line-sink.ts'

export type Log = pino.Logger

export function createLog(options: { readonly level: string; readonly sink: LineSink }): Log {
  const { sink } = options
  const write = (line: string): void => sink.print(sink.isTerminal ? forPeople(line, sink.hasColor) : line)
  return pino(
    { level: options.level, base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: (level) => ({ level }) } },
    { write },
  )
}

/** Standard error, written without waiting for whoever reads it. */
export function errorSink(): LineSink {
  return new LineSink({ path: null, descriptor: 2, onDrops: () => {} })
}

const colors: Readonly<Record<string, number>> = { debug: 2, info: 32, warn: 33, error: 31, fatal: 31 }

function forPeople(line: string, hasColor: boolean): string {
  const { level, time, msg, ...fields } = JSON.parse(line) as Record<string, unknown>
  const clock = new Date(String(time)).toTimeString().slice(0, 8)
  const color = hasColor ? colors[String(level)] : undefined
  const word = color === undefined ? String(level) : `\x1b[${color}m${level}\x1b[0m`
  const rest = Object.entries(fields).map(([name, value]) => ` ${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
  return `${clock} ${word} ${String(msg)}${rest.join('')}\n`
}
