/** What a cache does in a Redis or Valkey, each as one step there. All keys of one cache have the same prefix. */
import { type Script, scriptOf } from '../../store/store.ts'

/** Purges that are remembered; what is older than the first of them counts as purged. */
export const MOST_PURGES = 1000

/**
 * KEYS: the answers to a key, the count of purges. Returns that count, then the only answer if there is one that does not vary, else the names of
 * those that there are.
 */
export const FIND: Script = scriptOf(`
local count = redis.call('GET', KEYS[2]) or '0'
local names = redis.call('HKEYS', KEYS[1])
if #names == 1 and names[1] == ARGV[1] then return { count, 1, redis.call('HGET', KEYS[1], names[1]) } end
return { count, 0, names }
`)

/** KEYS: the answers to a key, the keys of its URL. ARGV: name, answer, how many names at the most, milliseconds to live. */
export const KEEP: Script = scriptOf(`
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then redis.call('DEL', KEYS[1]) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('SADD', KEYS[2], KEYS[1])
for _, key in ipairs(KEYS) do
  if redis.call('PTTL', key) < tonumber(ARGV[4]) then redis.call('PEXPIRE', key, ARGV[4]) end
end
return 1
`)

/** KEYS: the keys of a URL. */
export const FORGET_URL: Script = scriptOf(`
for _, key in ipairs(redis.call('SMEMBERS', KEYS[1])) do redis.call('DEL', key) end
return redis.call('DEL', KEYS[1])
`)

/**
 * KEYS: the count of purges, the purges, what was purged last. ARGV: a purge, how many are remembered. Several workers say the same at once: one of
 * them counts. Returns the count.
 */
export const PURGE: Script = scriptOf(`
if redis.call('GET', KEYS[3]) == ARGV[1] then return redis.call('GET', KEYS[1]) end
redis.call('SET', KEYS[3], ARGV[1], 'PX', 1000)
local count = redis.call('INCR', KEYS[1])
redis.call('ZADD', KEYS[2], count, count .. ' ' .. ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -1 - tonumber(ARGV[2]))
return tostring(count)
`)

/** KEYS: the count of purges, the purges. ARGV: the last one that is known. Returns the count, the number of the first that is remembered, and those behind the known one. */
export const PURGES: Script = scriptOf(`
local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
return { redis.call('GET', KEYS[1]) or '0', first[2] or '0', redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[1], '+inf') }
`)
