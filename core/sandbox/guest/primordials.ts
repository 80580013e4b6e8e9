/** The built-ins the runtime leans on, taken before any plugin ran: what a plugin does to prototypes is its own loss alone. */

const { bind, call } = Function.prototype

/** `f(self, …args)` for the method `f`, however the method is changed later. */
function uncurry<T, A extends unknown[], R>(method: (this: T, ...args: A) => R): (self: T, ...args: A) => R {
  return bindTo(call, method)
}
const bindTo = call.bind(bind)

export const slice = uncurry(String.prototype.slice)
export const indexOf = uncurry<string, [string, number?], number>(String.prototype.indexOf)
export const lastIndexOf = uncurry<string, [string, number?], number>(String.prototype.lastIndexOf)
export const toLowerCase = uncurry(String.prototype.toLowerCase)
export const charCodeAt = uncurry(String.prototype.charCodeAt)
export const codePointAt = uncurry(String.prototype.codePointAt)
export const functionText = uncurry(Function.prototype.toString)
export const subarray = uncurry<Int32Array, [number, number], Int32Array>(Int32Array.prototype.subarray)
export const { fromCharCode, fromCodePoint } = String
export const { parse, stringify } = JSON
export const { apply, ownKeys, getPrototypeOf, defineProperty } = Reflect
export const { isArray } = Array
export const { isView } = ArrayBuffer
export const { floor, max, min } = Math
export const IntArray = Int32Array
export const List = Array
export const Bytes = Uint8Array
const bytesPrototype = Object.getPrototypeOf(Uint8Array.prototype) as Uint8Array
const getter = (name: PropertyKey) => Object.getOwnPropertyDescriptor(bytesPrototype, name)!.get as (this: unknown) => unknown
/** What kind of typed array it is; undefined for anything else. */
export const arrayKind = uncurry<unknown, [], unknown>(getter(Symbol.toStringTag))
export const arrayLength = uncurry<Uint8Array, [], number>(getter('length') as (this: Uint8Array) => number)
/** Not `subarray` and `slice`: they ask a constructor that a plugin may have changed, and would hand it the shared memory. */
export const setBytes = uncurry<Uint8Array, [ArrayLike<number>], void>(Uint8Array.prototype.set)
export const toBase64 = uncurry<Uint8Array, [], string>(Uint8Array.prototype.toBase64)
export const fromBase64: (text: string) => Uint8Array<ArrayBuffer> = bindTo(Uint8Array.fromBase64, Uint8Array)
export const Failure = TypeError
export const NativeError = Error
export const NativePromise = Promise

const execute = uncurry<RegExp, [string], RegExpExecArray | null>(RegExp.prototype.exec)
/** `RegExp.prototype.test` looks `exec` up each time; this does not. */
export function matches(pattern: RegExp, text: string): boolean {
  return execute(pattern, text) !== null
}

/** `promise.then(…)`. */
export const onSettled = uncurry<Promise<unknown>, [(value: unknown) => void, (error: unknown) => void], Promise<void>>(
  Promise.prototype.then,
)

/** The function with its `this` fixed. */
export function bound<A extends unknown[], R>(method: (...args: A) => R, self: unknown): (...args: A) => R {
  return bindTo(method, self)
}
