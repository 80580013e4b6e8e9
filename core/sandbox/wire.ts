/**
 * How calls and answers cross the wall: numbers in one shared array, characters in one string. Guest and host compile against
 * this file; the host believes nothing the guest wrote without looking.
 */

// The shared array. First a few cells …
/** Index, in the batch, of the call that is running, at first of the one to begin with; -1 once the crossing's calls have returned. Survives a hook that never does. */
export const CELL = 0
/** Calls of the batch that are answered. */
export const DONE = 1
/** Numbers of answers written. */
export const OUT = 2
/** 1: answers of async calls, or lines of console, wait to be drained. */
export const MORE = 3
/** Milliseconds until the next timer of the guest is due; -1: none; -2, from the host: noted. */
export const TIMER = 4
/** Id of the call on whose behalf code runs, timers and promises included; 0: none. */
export const OWNER = 5
/** 1: a hook has returned a promise. */
export const ASYNC = 6
/** Bytes of answers written. */
export const OUT_BYTES = 7
/** From the host: index of the call to stop before, and where the first one begins. Here they cost nothing, as arguments a quarter of a microsecond each. */
export const TO = 8
export const AT = 9

// … then the calls, then the answers.
export const IN_AT = 16
export const IN_INTS = 8192
export const OUT_AT = IN_AT + IN_INTS
export const OUT_INTS = 8192
export const TAPE_INTS = OUT_AT + OUT_INTS

/**
 * A call is
 *
 *     length in ints · tag · id · status
 *     with HAS_REQUEST: method, path, search, ip, host, client certificate as JSON (length -1: none), each offset and length in the text, then the
 *     request's fields
 *     with IS_RESPONSE: the response's fields
 *     of the kinds from FIRST_PART_KIND on: offset and length in the bytes, state, offset and length in the text of what else is told
 *
 * `status` is that of the response or the error; of a body BODY_LAST, of a message or of data MESSAGE_…. Fields are an offset and a length for
 * every name the plugin `sees` (length -1: absent), or, if it says nothing, one such pair for all lines it may see. What the hook does not need has NOT_SENT for its length.
 */
export const CALL_HEAD_INTS = 4
export const REQUEST_HEAD_INTS = 12
export const PART_INTS = 5
export const IS_RESPONSE = 1
export const HAS_REQUEST = 2
export const KIND_SHIFT = 2
export const KIND_MASK = 15
export const USE_SHIFT = 6

/** What is asked. `onRequest` and `onResponse` are told apart by IS_RESPONSE. */
export const KIND_HEAD = 0
export const KIND_UPGRADE = 1
export const KIND_ERROR = 2
export const KIND_REQUEST_BODY = 3
export const KIND_RESPONSE_BODY = 4
export const KIND_MESSAGE = 5
export const KIND_LOG = 6
/** Nothing is asked: what was kept under a state is not needed any more. */
export const KIND_FORGET = 7
export const KIND_CONNECTION = 8
export const KIND_CLIENT_HELLO = 9
export const KIND_DATA = 10
export const KINDS = 11
export const FIRST_PART_KIND = KIND_ERROR

export const BODY_LAST = 1
export const MESSAGE_IS_TEXT = 1
export const MESSAGE_FROM_UPSTREAM = 2
export const ABSENT = -1
export const NOT_SENT = -2

/** What a hook needs of a request or a response. */
export const NEEDS_METHOD = 1
export const NEEDS_PATH = 2
export const NEEDS_SEARCH = 4
export const NEEDS_IP = 8
export const NEEDS_FIELDS = 16
export const NEEDS_HOST = 32
export const NEEDS_CERTIFICATE = 64
export const NEEDS_ALL = 127

/**
 * Answers are records of an operation and its numbers; their strings follow one another in the text. `ANSWER` opens the records of
 * one call. A call without records, below DONE, changes nothing.
 */
export const OP_ANSWER = 1 //  id
export const OP_SET = 2 //     memo, name length, value length
export const OP_APPEND = 3 //  name length, value length
export const OP_DELETE = 4 //  name length
export const OP_METHOD = 5 //  length
export const OP_PATH = 6 //    length
export const OP_SEARCH = 7 //  length
export const OP_STATUS = 8 //  status
export const OP_RESPOND = 9 // status, body length, number of fields, then name length and value length of each
export const OP_ROUTE = 10 //  length
/** The call failed: why (FAILURES), length of the detail. */
export const OP_FAIL = 11
/** The hook returned a promise: the answer comes later, under the same id. */
export const OP_PENDING = 12
/** A line of console: level (LEVELS), length, length of the stack it was printed at. Opens no answer. */
export const OP_LOG = 13
/** The same field set to the same value as the last time with this memo. */
export const OP_AGAIN = 14 //  memo
/** The same field as the last time with this memo, set to another value. */
export const OP_VALUE = 15 //  memo, value length

/** Of a body or a message: these bytes instead; offset and length in the bytes of the answers. */
export const OP_BYTES = 16 //  offset, length
/** The same as text, which becomes UTF-8. */
export const OP_TEXT = 17 //   length
export const OP_DENY = 18
/** Entries of the log as they are to be written, JSON. */
export const OP_ENTRIES = 19 // length
/** The guest wishes something done (capabilities.ts): its number, length of the method, length of the arguments. Opens no answer. */
export const OP_ASK = 20

/** Numbers that follow each operation; OP_RESPOND has more, by its third. */
export const OP_SIZES = [0, 1, 3, 2, 1, 1, 1, 1, 1, 3, 1, 2, 0, 3, 1, 2, 2, 1, 0, 1, 3] as const

/** How many edits are remembered by both sides, so that what repeats crosses as a number. */
export const MEMOS = 16

export const FAILURES = ['threw', 'timeout', 'memory', 'crashed', 'parked'] as const
export type FailureWhy = (typeof FAILURES)[number]
export const LEVELS = ['debug', 'info', 'warn', 'error'] as const

/** What one call may answer. More is a failure of the plugin. */
export const MAX_EDITS = 256
export const MAX_ANSWER_TEXT = 1 << 20
/** The guest ends a crossing early beyond this much text; the host submits the rest again. */
export const CROSSING_TEXT = 1 << 16
/** Of one wish. */
export const MAX_ASK_TEXT = 1 << 21
export const MAX_ASKS_WAITING = 1024

/** Bytes of calls and of answers lie in an array of their own, which only plugins that look at bytes have. */
export const LEAST_BYTES_IN = 1 << 18
export const LEAST_BYTES_OUT = 1 << 20
/** Of a body in `buffer` mode. */
export const MAX_BUFFERED = 4 << 20
export const DEFAULT_BUFFERED = 1 << 20

/** Of what `onReload` hands over, characters of JSON. */
export const MAX_STATE = 8 << 20

/** V8 copies a string under 1 KiB into an isolate cheaply; a longer one becomes an external string at ten times the cost. */
export const PIECE = 1000

export const hookNames = [
  'onRequest',
  'onRequestBody',
  'onResponse',
  'onResponseBody',
  'onUpgrade',
  'onMessage',
  'onConnection',
  'onClientHello',
  'onData',
  'onError',
  'onLog',
  'onReload',
] as const
export type HookName = (typeof hookNames)[number]
/** Without it the hook is refused. */
export const hookPermissions: Readonly<Partial<Record<HookName, string>>> = {
  onRequestBody: 'request.body',
  onResponseBody: 'response.body',
  onMessage: 'stream',
  onData: 'stream',
}

export const PLUGIN_NAME = /^[\w@/.-]{1,64}$/
/** A call has a place for each on the tape. */
export const MAX_SEES = 256

/** What the guest tells of a plugin before any `setup` ran. All of it is checked by the host. */
export interface Definition {
  readonly name: string
  readonly permissions: readonly string[]
  /** Lower-case names; null: all lines. */
  readonly sees: readonly string[] | null
  readonly match: MatchDefinition | null
  /** Where `definePlugin` was called, a frame of a stack. */
  readonly at: string
}

export interface MatchDefinition {
  readonly path?: string | readonly string[] | undefined
  readonly method?: string | readonly string[] | undefined
  readonly host?: string | readonly string[] | undefined
}

/** What `setup` returned. */
export interface SetUp {
  readonly hooks: readonly HookName[]
  /** NEEDS_… of the response, of `onResponse`. */
  readonly responseNeeds: number
  /** NEEDS_… of the request, by kind; that of `onResponse` is `viewNeeds`. */
  readonly needs: readonly number[]
  readonly viewNeeds: number
  readonly requestBody: BodySetUp | null
  readonly responseBody: BodySetUp | null
  /** What `onRequest` and `onResponse` do whatever they are given, as triples of OP_SET, OP_APPEND or OP_DELETE, name, value; null: run them. */
  readonly requestEdits: readonly (string | number)[] | null
  readonly responseEdits: readonly (string | number)[] | null
  /** A hook is an async function: its calls cross one by one. */
  readonly isAsync: boolean
}

export interface BodySetUp {
  readonly mode: 'stream' | 'buffer'
  readonly maxBytes: number
  readonly types: readonly string[] | null
  /** It keeps something from one piece to the next. */
  readonly keepsState: boolean
}
