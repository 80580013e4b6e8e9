/** Plugins written in a test, loaded into a sandbox and asked as the data path asks them. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import type { Observer } from '../../core/events.ts'
import {
  type Ask,
  type BodyPart,
  type CallPart,
  type Hook,
  type HookCall,
  type MessagePart,
  PENDING,
  type Verdict,
} from '../../core/hooks.ts'
import type { RequestHead, ResponseHead } from '../../core/net/http1/head.ts'
import { bundlePlugin } from '../../core/sandbox/bundle.ts'
import type { Capabilities } from '../../core/sandbox/capabilities.ts'
import { type PluginUse, Sandbox } from '../../core/sandbox/sandbox.ts'
import { requestHead } from './heads.ts'

export type Isolation = 'worker' | 'process'

/** What the sandbox told. */
export interface Told {
  readonly calls: number[]
  readonly failures: { readonly plugin: string; readonly why: string; readonly detail: string }[]
  readonly lines: { readonly level: string; readonly text: string; readonly at: string }[]
}

export interface Asked {
  readonly verdict: Verdict | null
  readonly request: RequestHead
  readonly response: ResponseHead | null
  /** The answer came without a crossing. */
  readonly atOnce: boolean
}

export interface Question {
  readonly request?: RequestHead
  readonly response?: ResponseHead
  readonly ip?: string
}

export class Sandboxed {
  readonly folder: string
  readonly sandbox: Sandbox
  readonly told: Told = { calls: [], failures: [], lines: [] }
  readonly #isolation: Isolation
  #uses = 0
  /** Does what plugins wish; nothing, unless a test says so. */
  perform: Capabilities['perform'] = async ({ method }) => {
    throw new Error(`${method} is not there`)
  }

  static async create(isolation: Isolation): Promise<Sandboxed> {
    return new Sandboxed(await mkdtemp(join(tmpdir(), 'sluice-sandbox-')), isolation)
  }

  constructor(folder: string, isolation: Isolation) {
    this.folder = folder
    this.#isolation = isolation
    this.sandbox = new Sandbox({ observer: observerOf(this.told), capabilities: { perform: (wish) => this.perform(wish) } })
  }

  /** Writes a module and returns its path. */
  async write(name: string, code: string): Promise<string> {
    const file = join(this.folder, name)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, code)
    return file
  }

  async use(file: string, parts: Partial<PluginUse> = {}): Promise<PluginUse> {
    return {
      source: await bundlePlugin(file),
      key: `use ${this.#uses++}`,
      options: {},
      grant: [],
      timeoutMs: 50,
      deadlineMs: 1000,
      memoryMb: 64,
      kvBytes: null,
      isolation: this.#isolation,
      onFailure: 'deny',
      ...parts,
    }
  }

  async load(file: string, parts: Partial<PluginUse> = {}): Promise<Hook> {
    const [hook] = await this.sandbox.load([await this.use(file, parts)])
    return hook!
  }

  /** A plugin of one module: `body` is that of `setup`. */
  async plugin(body: string, parts: Partial<PluginUse> = {}, definition = ''): Promise<Hook> {
    const code = `import { definePlugin, respond, routeTo, deny } from 'sluice/plugin'
export default definePlugin({ name: 'tried', ${definition} setup(options, host) {
${body}
} })
`
    return this.load(await this.write(`plugin-${this.#uses}.ts`, code), parts)
  }

  async close(): Promise<void> {
    this.sandbox.close()
    await rm(this.folder, { recursive: true, force: true })
  }
}

/** Asks the hook of a request, or of a response if there is one. */
export function ask(hook: Hook, { request = requestHead(), response, ip = '10.0.0.1' }: Question = {}): Promise<Asked> {
  return new Promise((resolve) => {
    const call: HookCall = {
      request,
      response: response ?? null,
      ip,
      part: null,
      ended: false,
      resume: (verdict) => resolve({ verdict, request, response: response ?? null, atOnce: false }),
    }
    const answer = (response === undefined ? hook.onRequest : hook.onResponse)!(call)
    if (answer !== PENDING) resolve({ verdict: answer, request, response: response ?? null, atOnce: true })
  })
}

/** Asks about a part, and gives the verdict. */
export function askPart(asked: Ask, part: CallPart, request = requestHead()): Promise<Verdict | null> {
  return new Promise((resolve) => {
    const call: HookCall = { request, response: null, ip: '10.0.0.1', part, ended: false, resume: resolve }
    const answer = asked(call)
    if (answer !== PENDING) resolve(answer)
  })
}

export function bodyPart(text: string | Uint8Array, parts: Partial<BodyPart> = {}): BodyPart {
  return { kind: 'responseBody', bytes: Buffer.from(text), last: false, type: 'text/plain', state: 1, ...parts }
}

export function messagePart(text: string | Uint8Array, parts: Partial<MessagePart> = {}): MessagePart {
  return { kind: 'message', bytes: Buffer.from(text), isText: typeof text === 'string', from: 'client', state: 1, ...parts }
}

/** A verdict in a word or two: the bytes as latin1. */
export function said(verdict: Verdict | null): string {
  if (verdict === null) return 'unchanged'
  if (verdict.kind === 'bytes') return `${verdict.isText ? 'text' : 'bytes'} ${verdict.bytes.toString('latin1')}`
  if (verdict.kind === 'respond') return `responded ${verdict.status}`
  return verdict.kind === 'fail' ? `failed ${verdict.error.code}` : verdict.kind
}

/** What happened to a request, in a word: `went on`, `responded 403`, `failed plugin_failed`. */
export function outcome({ verdict }: Asked): string {
  if (verdict === null) return 'went on'
  if (verdict.kind === 'respond') return `responded ${verdict.status}`
  if (verdict.kind === 'routeTo') return `routed to ${verdict.upstream}`
  return verdict.kind === 'fail' ? `failed ${verdict.error.code}` : verdict.kind
}

function observerOf(told: Told): Observer {
  const quiet = () => undefined
  return {
    connectionOpened: quiet,
    connectionClosed: quiet,
    exchangeEnded: quiet,
    tunnelEnded: quiet,
    datagramDropped: quiet,
    dialled: quiet,
    upstreamClosed: quiet,
    queued: quiet,
    upstreamChanged: quiet,
    retryRefused: quiet,
    mirrored: quiet,
    buffered: quiet,
    hedged: quiet,
    limitMoved: quiet,
    handshakeFailed: quiet,
    pluginCalled: (_plugin, calls) => void told.calls.push(calls),
    pluginFailed: (plugin, why, detail) => void told.failures.push({ plugin, why, detail: detail ?? '' }),
    pluginLogged: (_plugin, level, text, at) =>
      void told.lines.push({ level, text, at: at === null ? '' : `${basename(at.file)}:${at.line}` }),
  }
}
