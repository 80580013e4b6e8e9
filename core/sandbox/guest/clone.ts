/** `structuredClone` (HTML §2.7) of what a plugin has: data, dates, maps, sets, bytes, errors, and circles of them. */
import { DOMException } from './abort.ts'

export function structuredClone<T>(value: T): T {
  return copy(value, new Map()) as T
}

type Seen = Map<object, object>

function copy(value: unknown, seen: Seen): unknown {
  if (typeof value === 'function' || typeof value === 'symbol') throw notCloneable(typeof value)
  if (typeof value !== 'object' || value === null) return value
  const known = seen.get(value)
  if (known !== undefined) return known
  const plain = copyLeaf(value)
  if (plain !== null) {
    seen.set(value, plain)
    return plain
  }
  return copyContainer(value, seen)
}

/** What holds nothing else; null for the others. */
function copyLeaf(value: object): object | null {
  if (value instanceof Date) return new Date(value.getTime())
  if (value instanceof RegExp) return new RegExp(value.source, value.flags)
  if (value instanceof ArrayBuffer) return value.slice(0)
  if (value instanceof Boolean || value instanceof Number || value instanceof String) return Object(value.valueOf())
  return null
}

function copyContainer(value: object, seen: Seen): object {
  if (ArrayBuffer.isView(value)) return keep(value, copyView(value, seen), seen)
  if (value instanceof Map) {
    const map = keep(value, new Map<unknown, unknown>(), seen)
    for (const [key, item] of [...value]) map.set(copy(key, seen), copy(item, seen))
    return map
  }
  if (value instanceof Set) {
    const set = keep(value, new Set<unknown>(), seen)
    for (const item of [...value]) set.add(copy(item, seen))
    return set
  }
  if (value instanceof Error) return keep(value, copyError(value), seen)
  if (value instanceof Promise || value instanceof WeakMap || value instanceof WeakSet || value instanceof WeakRef)
    throw notCloneable(Object.prototype.toString.call(value))
  const target: object = keep(value, Array.isArray(value) ? new Array(value.length) : {}, seen)
  for (const key of Object.keys(value)) {
    // Defined, not set: `__proto__` is a name like any other.
    const item = copy((value as Record<string, unknown>)[key], seen)
    Object.defineProperty(target, key, { value: item, writable: true, enumerable: true, configurable: true })
  }
  return target
}

function keep<T extends object>(value: object, made: T, seen: Seen): T {
  seen.set(value, made)
  return made
}

/** Views of one buffer are views of one copy of it. */
function copyView(view: ArrayBufferView, seen: Seen): object {
  const buffer = copy(view.buffer, seen) as ArrayBuffer
  if (view instanceof DataView) return new DataView(buffer, view.byteOffset, view.byteLength)
  const array = view as Uint8Array
  return new (array.constructor as Uint8ArrayConstructor)(buffer, array.byteOffset, array.length)
}

const errors = { EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError }

function copyError(error: Error): Error {
  const Kind = Object.hasOwn(errors, error.name) ? errors[error.name as keyof typeof errors] : Error
  const made = new Kind(error.message)
  Object.defineProperty(made, 'stack', { value: error.stack, writable: true, configurable: true })
  return made
}

function notCloneable(what: string): DOMException {
  return new DOMException(`a ${what} cannot be cloned`, 'DataCloneError')
}
