/** Tells when the content of a file among many has changed, whatever way it was saved. */
import { FSWatcher } from 'chokidar'

export interface WatchOptions {
  /** A burst of changes is one call. */
  readonly onChange: (files: readonly string[]) => void
  readonly onError?: (error: Error) => void
}

export class FileWatch {
  readonly #watcher = new FSWatcher({ ignoreInitial: true })
  #files: ReadonlySet<string> = new Set()

  constructor({ onChange, onError }: WatchOptions) {
    this.#watcher.on('all', (_, file) => onChange([file]))
    this.#watcher.on('error', (error) => onError?.(error instanceof Error ? error : new Error(String(error))))
  }

  /** The files to watch from now on, absolute paths. They need not exist. */
  set(files: readonly string[]): void {
    const wanted = new Set(files)
    this.#watcher.add([...wanted].filter((file) => !this.#files.has(file)))
    this.#watcher.unwatch([...this.#files].filter((file) => !wanted.has(file)))
    this.#files = wanted
  }

  close(): Promise<void> {
    return this.#watcher.close()
  }
}
