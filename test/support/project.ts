/** A project in a temporary folder, as `npm install` would have left it: packages are links, for tests have no network. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { mainFile, packageFolder, root, type Sluice, startSluice } from './process.ts'

const native = join(root, `node_modules/@typescript/typescript-${process.platform}-${process.arch}/lib/tsc`)
/** TypeScript's, without the process of Node that its package puts before it. */
export const compiler: string = existsSync(native) ? native : join(root, 'node_modules/.bin/tsc')

export interface Ended {
  readonly code: number | null
  /** Standard output, then standard error. */
  readonly output: string
}

export class Project implements Disposable {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'sluice-project-'))
  /** The program that `sluice` names. */
  program = mainFile

  path(...parts: readonly string[]): string {
    return join(this.folder, ...parts)
  }

  read(path: string): string {
    return readFileSync(this.path(path), 'utf8')
  }

  has(path: string): boolean {
    return existsSync(this.path(path))
  }

  write(path: string, text: string): void {
    mkdirSync(dirname(this.path(path)), { recursive: true })
    writeFileSync(this.path(path), text)
  }

  /** A package of this checkout, or the one in `folder`. */
  link(name: string, folder: string = name === 'sluice' ? packageFolder : join(root, 'node_modules', name)): void {
    const place = this.path('node_modules', name)
    mkdirSync(dirname(place), { recursive: true })
    symlinkSync(folder, place)
  }

  sluice(...args: readonly string[]): Ended {
    return this.#run(process.execPath, [this.program, ...args])
  }

  node(...args: readonly string[]): Ended {
    return this.#run(process.execPath, args)
  }

  tsc(...args: readonly string[]): Ended {
    // Of several checkers each looks at the same libraries.
    return this.#run(compiler, [...args, '--checkers', '1'])
  }

  start(env: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<Sluice> {
    return startSluice({ folder: this.folder, program: this.program, env, args: ['--workers', '1', ...args] })
  }

  #run(file: string, args: readonly string[]): Ended {
    // A test runner inside another would speak its language, not ours.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env
    const path = `${dirname(process.execPath)}:${env.PATH}`
    const { status, stdout, stderr, error } = spawnSync(file, args, {
      cwd: this.folder,
      encoding: 'utf8',
      timeout: 30_000,
      env: { ...env, PATH: path, NO_COLOR: '1', XDG_RUNTIME_DIR: this.folder },
    })
    return { code: status, output: `${stdout}${stderr}${error?.message ?? ''}` }
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}
