/**
 * What lies in a folder of answers, in one SQLite file that all workers of the machine have open: where each answer's body is, what its head
 * says, and how much room they take. Each call is a few short statements; nothing is waited for: who is not let write is told BUSY.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Purge } from '../purge.ts'
import type { Heard } from '../store/heard.ts'

export interface Row {
  readonly id: number
  readonly file: string
  /** Milliseconds: of two answers to the same the later one counts. */
  readonly born: number
  /** Purged softly then; null: it was not. */
  readonly purged: number | null
  readonly vary: string | null
  readonly variant: string
  readonly length: number
}

export interface Head {
  readonly head: string
  /** Of the head and the name of the file. */
  readonly checksum: number
}

export interface NewRow extends Omit<Row, 'id' | 'purged'>, Head {
  readonly key: Uint8Array
  readonly url: string
  readonly tags: readonly string[]
  readonly status: number
  readonly lifetime: number
  /** What it takes on the disk. */
  readonly size: number
}

export interface ListedRow {
  readonly id: number
  readonly url: string
  readonly variant: string
  readonly status: number
  readonly length: number
  readonly born: number
  readonly lifetime: number
  readonly purged: number | null
}

export interface Totals {
  readonly objects: number
  readonly bytes: number
  readonly evictions: number
}

/** A row, and so a file, that nothing finds any more. */
interface Gone {
  readonly file: string
  readonly size: number
}

/** Of all that is written here: a file of another version is left alone. */
const VERSION = 1
/** So long it is waited for others who open it, too. */
const OPEN_MS = 2000
const NEVER = new Int32Array(new SharedArrayBuffer(4))
/** Looked at for eviction in one step. */
const STEP_ROWS = 32

const SCHEMA = `
  CREATE TABLE objects (
    id INTEGER PRIMARY KEY, key BLOB NOT NULL, vary TEXT, variant TEXT NOT NULL, url TEXT NOT NULL, file TEXT NOT NULL, size INTEGER NOT NULL,
    length INTEGER NOT NULL, born INTEGER NOT NULL, lifetime INTEGER NOT NULL, status INTEGER NOT NULL, purged INTEGER, visited INTEGER NOT NULL,
    checksum INTEGER NOT NULL, head TEXT NOT NULL
  );
  CREATE INDEX by_key ON objects (key);
  CREATE INDEX by_url ON objects (url);
  CREATE TABLE tags (tag TEXT NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (tag, id)) WITHOUT ROWID;
  CREATE INDEX tags_by_id ON tags (id);
  CREATE TABLE totals (objects INTEGER NOT NULL, bytes INTEGER NOT NULL, evictions INTEGER NOT NULL, hand INTEGER NOT NULL);
  INSERT INTO totals VALUES (0, 0, 0, 0);
  CREATE TRIGGER added AFTER INSERT ON objects BEGIN UPDATE totals SET objects = objects + 1, bytes = bytes + new.size; END;
  CREATE TRIGGER removed AFTER DELETE ON objects BEGIN
    UPDATE totals SET objects = objects - 1, bytes = bytes - old.size;
    DELETE FROM tags WHERE id = old.id;
  END;
  PRAGMA user_version = ${VERSION};
`

/** Files of before have none of it. */
const HEARD =
  'CREATE TABLE IF NOT EXISTS heard (store TEXT PRIMARY KEY, purges INTEGER NOT NULL, invalidations INTEGER NOT NULL) WITHOUT ROWID'

export class DiskIndex {
  readonly #db: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()

  /** Throws what SQLite says: the file cannot be used. */
  constructor(file: string) {
    // Only workers whose config has such a cache load it.
    const { DatabaseSync } = process.getBuiltinModule('node:sqlite')
    this.#db = new DatabaseSync(file, { timeout: OPEN_MS })
    try {
      // What is written last may be lost with the machine, not with a process: bodies are checked, and what is missing is fetched again.
      this.#openLog()
      this.#db.exec('PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 256; PRAGMA cache_size = -4096')
      this.#db.exec('BEGIN IMMEDIATE')
      const version = this.#get('PRAGMA user_version') as { user_version: number }
      if (version.user_version === 0) this.#db.exec(SCHEMA)
      if (version.user_version <= VERSION) this.#db.exec(HEARD)
      this.#db.exec('COMMIT')
      if (version.user_version > VERSION) throw new Error(`it was written by a newer version (${version.user_version})`)
      // From here on nobody waits.
      this.#db.exec('PRAGMA busy_timeout = 0')
    } catch (error) {
      this.#db.close()
      throw error
    }
  }

  /** Workers that start at once all want the log: there SQLite says BUSY without having waited, whatever its timeout. */
  #openLog(): void {
    for (const lastAt = performance.now() + OPEN_MS; ; Atomics.wait(NEVER, 0, 0, 2 + Math.random() * 8)) {
      try {
        return this.#db.exec('PRAGMA journal_mode = WAL')
      } catch (error) {
        if (!isBusy(error) || performance.now() > lastAt) throw error
      }
    }
  }

  close(): void {
    this.#db.close()
  }

  /** The newest first. */
  rowsOf(key: Uint8Array): Row[] {
    return this.#all(
      'SELECT id, file, born, purged, vary, variant, length FROM objects WHERE key = ? ORDER BY id DESC LIMIT 64',
      key,
    ) as Row[]
  }

  headOf(id: number): Head | undefined {
    return this.#get('SELECT head, checksum FROM objects WHERE id = ?', id) as Head | undefined
  }

  get totals(): Totals {
    return this.#get('SELECT objects, bytes, evictions FROM totals') as unknown as Totals
  }

  /** At most so many of a range, behind that one. */
  list({ from, to }: UrlRange, after: Place | null, most: number): ListedRow[] {
    const columns = 'id, url, variant, status, length, born, lifetime, purged'
    const sql = `SELECT ${columns} FROM objects WHERE (url, id) > (?, ?) AND url < ? ORDER BY url, id LIMIT ?`
    return this.#all(sql, after?.url ?? from, after?.id ?? 0, to, most) as ListedRow[]
  }

  tagsOf(id: number): string[] {
    return (this.#all('SELECT tag FROM tags WHERE id = ?', id) as { tag: string }[]).map(({ tag }) => tag)
  }

  // ── in a transaction ─────────────────────────────────────────────────────────────────────────────────────────────

  /** All of it or nothing. Throws BUSY if another process writes. */
  write<T>(work: () => T): T {
    this.#db.exec('BEGIN IMMEDIATE')
    try {
      const result = work()
      this.#db.exec('COMMIT')
      return result
    } catch (error) {
      // SQLite has done that itself after some errors.
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
      throw error
    }
  }

  /** In the place of what it replaces, and of the oldest if there are more of that key than that. */
  add(row: NewRow, variants: number): Gone[] {
    const { key, vary, variant, url, file, size, length, born, lifetime, status, checksum, head, tags } = row
    const gone = this.#gone('key = ? AND vary IS ? AND variant = ?', key, vary, variant)
    gone.push(...this.#gone('id IN (SELECT id FROM objects WHERE key = ? ORDER BY id DESC LIMIT -1 OFFSET ?)', key, variants - 1))
    const { lastInsertRowid } = this.#run(
      `INSERT INTO objects (key, vary, variant, url, file, size, length, born, lifetime, status, visited, checksum, head)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)`,
      ...[key, vary, variant, url, file, size, length, born, lifetime, status, checksum, head],
    )
    for (const tag of tags) this.#run('INSERT OR IGNORE INTO tags VALUES (?, ?)', tag, lastInsertRowid)
    return gone
  }

  /** The same body, with another head. False: it is not there any more. */
  renew(
    { file, born, lifetime, checksum, head, tags }: Pick<NewRow, 'file' | 'born' | 'lifetime' | 'checksum' | 'head' | 'tags'>,
    key: Uint8Array,
  ): boolean {
    const { changes } = this.#run(
      'UPDATE objects SET born = ?, lifetime = ?, purged = NULL, checksum = ?, head = ? WHERE key = ? AND file = ?',
      ...[born, lifetime, checksum, head, key, file],
    )
    // Those that it had before find it, too.
    for (const tag of tags) this.#run('INSERT OR IGNORE INTO tags SELECT ?, id FROM objects WHERE key = ? AND file = ?', tag, key, file)
    return changes > 0
  }

  visit(id: number): void {
    this.#run('UPDATE objects SET visited = 1 WHERE id = ? AND visited = 0', id)
  }

  remove(key: Uint8Array, vary: string | null, variant: string): Gone[] {
    return this.#gone('key = ? AND vary IS ? AND variant = ?', key, vary, variant)
  }

  removeFile(key: Uint8Array, file: string): Gone[] {
    return this.#gone('key = ? AND file = ?', key, file)
  }

  /** At most so many that a purge is about, behind that one. */
  matching(range: Range, after: Place | null, most: number): Place[] {
    const from = after?.id ?? 0
    switch (range.kind) {
      case 'all':
        return this.#all('SELECT id, url FROM objects WHERE id > ? ORDER BY id LIMIT ?', from, most) as Place[]
      case 'tag':
        return this.#all('SELECT id FROM tags WHERE tag = ? AND id > ? ORDER BY id LIMIT ?', range.tag, from, most) as Place[]
      case 'urls':
        return this.#all(
          'SELECT id, url FROM objects WHERE (url, id) > (?, ?) AND url < ? ORDER BY url, id LIMIT ?',
          ...[after?.url ?? range.from, from, range.to, most],
        ) as Place[]
    }
  }

  /** How far what a store tells has been heard. */
  heard(store: string): Heard | null {
    return (this.#get('SELECT purges, invalidations FROM heard WHERE store = ?', store) as Heard | undefined) ?? null
  }

  hear(store: string, { purges, invalidations }: Heard): void {
    this.#run('INSERT OR REPLACE INTO heard VALUES (?, ?, ?)', store, purges, invalidations)
  }

  removeId(id: number): Gone[] {
    return this.#gone('id = ?', id)
  }

  /** False: it was so before, or is not there any more. */
  makeStale(id: number, now: number): boolean {
    return this.#run('UPDATE objects SET purged = ? WHERE id = ? AND purged IS NULL', now, id).changes > 0
  }

  /** SIEVE (sieve.ts), a step of it: what was asked for since the hand last passed stays once more. */
  evict(bytes: number): Gone[] {
    const { hand, bytes: total } = this.#get('SELECT hand, bytes FROM totals') as { hand: number; bytes: number }
    const rows = this.#all('SELECT id, visited, size FROM objects WHERE id > ? ORDER BY id LIMIT ?', hand, STEP_ROWS) as Passed[]
    // Nothing is left, whatever was counted.
    if (rows.length === 0 && hand === 0) this.#run('UPDATE totals SET objects = 0, bytes = 0')
    const gone: Gone[] = []
    let at = rows.length === 0 ? 0 : hand
    let excess = total - bytes
    for (const { id, visited, size } of rows) {
      if (excess <= 0) break
      at = id
      if (visited !== 0) this.#run('UPDATE objects SET visited = 0 WHERE id = ?', id)
      else {
        gone.push(...this.#gone('id = ?', id))
        excess -= size
      }
    }
    this.#run('UPDATE totals SET hand = ?, evictions = evictions + ?', at, gone.length)
    return gone
  }

  #gone(where: string, ...values: Value[]): Gone[] {
    return this.#all(`DELETE FROM objects WHERE ${where} RETURNING file, size`, ...values) as unknown as Gone[]
  }

  #get(sql: string, ...values: Value[]): unknown {
    return this.#prepared(sql).get(...values)
  }

  #all(sql: string, ...values: Value[]): unknown[] {
    return this.#prepared(sql).all(...values)
  }

  #run(sql: string, ...values: Value[]): ReturnType<StatementSync['run']> {
    return this.#prepared(sql).run(...values)
  }

  /** As many as there are texts in this file. */
  #prepared(sql: string): StatementSync {
    let statement = this.#statements.get(sql)
    if (statement === undefined) {
      statement = this.#db.prepare(sql)
      this.#statements.set(sql, statement)
    }
    return statement
  }
}

type Value = string | number | bigint | null | Uint8Array

interface Passed {
  readonly id: number
  readonly visited: number
  readonly size: number
}

/** Where a walk has got to. */
export interface Place {
  readonly id: number
  readonly url: string
}

interface UrlRange {
  readonly from: string
  /** Behind the last. */
  readonly to: string
}

export type Range = { readonly kind: 'all' } | { readonly kind: 'tag'; readonly tag: string } | ({ readonly kind: 'urls' } & UrlRange)

export function rangesOf(purge: Purge): Range[] {
  switch (purge.kind) {
    case 'url':
      // No character of a URL is below this one.
      return [{ kind: 'urls', from: purge.url, to: `${purge.url}\u0001` }]
    case 'prefix':
      return [{ kind: 'urls', ...urlsFrom(purge.prefix) }]
    case 'host':
      return ['http', 'https'].map((scheme) => ({ kind: 'urls', ...urlsFrom(`${scheme}://${purge.host}/`) }))
    case 'tag':
      return [purge]
    case 'all':
      return [purge]
  }
}

/** Those that begin so. */
export function urlsFrom(prefix: string): UrlRange {
  return { from: prefix, to: `${prefix}\u{10ffff}` }
}

/** Whether another process, or this one, has it open: the last to leave its log is alone. Throws if it cannot be read. */
export function isOpenElsewhere(file: string): boolean {
  const { DatabaseSync } = process.getBuiltinModule('node:sqlite')
  const db = new DatabaseSync(file, { timeout: 0 })
  try {
    db.exec('PRAGMA journal_mode = DELETE')
    return false
  } catch (error) {
    if (isBusy(error)) return true
    throw error
  } finally {
    db.close()
  }
}

const SQLITE_BUSY = 5
const SQLITE_FULL = 13

export function isBusy(error: unknown): boolean {
  return primaryCode(error) === SQLITE_BUSY
}

/** The disk is full, or cannot be written for a while: the index itself is good. */
export function isFull(error: unknown): boolean {
  return primaryCode(error) === SQLITE_FULL
}

function primaryCode(error: unknown): number {
  return error instanceof Error && 'errcode' in error && typeof error.errcode === 'number' ? error.errcode & 0xff : -1
}
