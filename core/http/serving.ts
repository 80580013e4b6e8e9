/** An exchange that is answered with a file: it is looked for, and then read as an endpoint's answer would be, past the same hooks. */
import { monotonicMs, toEpochMs } from '../clock.ts'
import { ProxyError } from '../errors.ts'
import { closeFile, type Found, findFile, type OpenFile } from '../files/find.ts'
import { answerOf } from '../files/head.ts'
import { listFolder } from '../files/listing.ts'
import { FileReading, type FileTaker } from '../files/reading.ts'
import type { FilesDestination } from '../plan/plan.ts'
import { CachingExchange } from './caching.ts'
import { makeRedirect, makeReply } from './reply.ts'

/** What was asked for, before any rewrite. */
interface Written {
  readonly path: string
  readonly search: string
}

export abstract class ServingExchange extends CachingExchange implements FileTaker {
  protected serve(files: FilesDestination, written: Written): void {
    const { request } = this
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return this.refuseBy({ kind: 'fail', error: new ProxyError('method_not_allowed'), fields: { Allow: 'GET, HEAD' } })
    this.prepareResponse(this.asked())
    this.stage = 'file'
    const asked = { path: request.path, endsInSlash: written.path.endsWith('/'), accepts: request.get('accept-encoding') }
    findFile(files, asked).then(
      (found) => this.found(found, files, written),
      (error: unknown) => this.isLookedFor && this.fail('internal', String(error)),
    )
  }

  /** Else the exchange is over, or something else was answered meanwhile. */
  private get isLookedFor(): boolean {
    return this.stage === 'file'
  }

  private found(found: Found, files: FilesDestination, written: Written): void {
    if (!this.isLookedFor) {
      if (found.kind === 'file') closeFile(found.file)
      return
    }
    switch (found.kind) {
      case 'miss':
        return this.fail(found.code, found.detail)
      case 'slash':
        return this.answer(() => makeRedirect(301, redirectToFolder(written)))
      case 'listing':
        return this.list(found.folder, files, written)
      case 'file':
        return this.sendFile(found.file)
    }
  }

  private list(folder: string, { dotfiles }: FilesDestination, { path }: Written): void {
    listFolder(folder, { path, dotfiles }).then(
      (page) => this.isLookedFor && this.answer(() => makeReply(200, page, { 'Content-Type': 'text/html; charset=utf-8' })),
      (error: unknown) => this.isLookedFor && this.fail('file_failed', String(error)),
    )
  }

  private sendFile(file: OpenFile): void {
    const answer = answerOf(file, this.request, toEpochMs(monotonicMs()))
    if ('code' in answer) {
      closeFile(file)
      return this.refuseBy({ kind: 'fail', error: new ProxyError(answer.code), fields: answer.fields })
    }
    const { head, from, to } = answer
    const isSilent = this.askedHead || this.answersHead
    this.response = head
    // As an endpoint that was asked with a HEAD of a hook's making.
    this.length = this.answersHead && !this.askedHead ? 0 : to - from
    this.isUnframed = true
    this.stage = 'responseHooks'
    const reading = new FileReading(file, { from, to: isSilent ? from : to }, this)
    this.supply = reading
    this.askResponse()
    reading.start()
  }
}

/** Relative, for this proxy need not be the first one; with `./`, or a name with a colon would be a scheme. */
export function redirectToFolder({ path, search }: Written): string {
  return `./${path.slice(path.lastIndexOf('/') + 1)}/${search}`
}
