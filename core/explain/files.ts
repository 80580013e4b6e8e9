/** What a route of files answers with: looked for as the data path does, and closed again. */
import { errorTable } from '../errors.ts'
import { closeFile, findFile } from '../files/find.ts'
import { answerOf } from '../files/head.ts'
import { redirectToFolder } from '../http/serving.ts'
import type { FilesDestination } from '../plan/plan.ts'
import { type Arrived, applyRewrite, refusedRewrite } from './destination.ts'
import type { Outcome } from './explanation.ts'
import { clean } from './shown.ts'

export async function explainFiles(files: FilesDestination, arrived: Arrived): Promise<Outcome> {
  const { head } = arrived
  const { path, search } = head
  if (files.rewrite !== null && !applyRewrite(files.rewrite, arrived)) return refusedRewrite(files.rewrite)
  const error = (code: keyof typeof errorTable, because: string): Outcome => ({
    ...{ kind: 'error', code, status: errorTable[code].status, because: clean(because) },
  })
  if (head.method !== 'GET' && head.method !== 'HEAD') return error('method_not_allowed', 'files are read with GET and HEAD')
  const found = await findFile(files, { path: head.path, endsInSlash: path.endsWith('/'), accepts: head.get('accept-encoding') })
  const told = { kind: 'files', root: files.root, type: null, coding: null } as const
  switch (found.kind) {
    case 'miss':
      return error(found.code, found.detail)
    case 'slash':
      return { kind: 'redirect', status: 301, location: clean(redirectToFolder({ path, search })) }
    case 'listing':
      return { ...told, status: 200, file: clean(found.folder), type: 'text/html; charset=utf-8' }
    case 'file': {
      closeFile(found.file)
      const answer = answerOf(found.file, head, Date.now())
      const { type, coding, path: file } = found.file
      if ('code' in answer) return error(answer.code, file)
      return { ...told, status: answer.head.status, file: clean(file), type, coding }
    }
  }
}
