/**
 * The connections that a listener keeps, and where each is counted. An array and a number in each of them, and no Map: as connections come and go V8 makes
 * a Map a new table again and again, to which the old one points, and one that has outlived the young heap keeps all that was in those after it.
 */
import type { Accepted } from '../connection/home.ts'

export class Kept<Place> {
  readonly #connections: Accepted[] = []
  readonly #places: Place[] = []

  get size(): number {
    return this.#connections.length
  }

  /** As they are now. */
  all(): readonly Accepted[] {
    return [...this.#connections]
  }

  /** If it is kept already, it has another place from now on. */
  add(connection: Accepted, place: Place): void {
    if (!this.#has(connection)) {
      connection.keptAt = this.#connections.length
      this.#connections.push(connection)
    }
    this.#places[connection.keptAt] = place
  }

  /** Its place; null: it is not kept here. */
  remove(connection: Accepted): Place | null {
    if (!this.#has(connection)) return null
    const at = connection.keptAt
    const place = this.#places[at]!
    const last = this.#connections.pop()!
    const placeOfLast = this.#places.pop()!
    if (last !== connection) {
      this.#connections[at] = last
      this.#places[at] = placeOfLast
      last.keptAt = at
    }
    connection.keptAt = -1
    return place
  }

  #has(connection: Accepted): boolean {
    return connection.keptAt >= 0 && this.#connections[connection.keptAt] === connection
  }
}
