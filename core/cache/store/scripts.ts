/** What a cache does in a Redis or Valkey, each as one step there. All keys of one cache have the same prefix. */
import { type Script, scriptOf } from '../../store/store.ts'

/** Purges that are remembered; what is older than the first of them counts as purged. */
export const MOST_PURGES = 1000
/** URLs that requests have put out, and that are remembered for who has not heard of them yet. */
export const MOST_INVALIDATED = 4096
/** At a time: told there, which is some milliseconds of its time; and heard, which is some of a worker's. */
export const MOST_TOLD = 128
export const MOST_HEARD = 1024
/** Characters. */
export const MOST_URL_LENGTH = 2048
/** Hosts of which more were put out than was told of one by one; with more of them it is all. */
const MOST_HOSTS = 64

/**
 * What requests put out is numbered: `count` in one hash; `floor`, up to which URLs are forgotten; `all` and `h:HOST`, up to which all of that is put
 * out. It begins with the time, so that another beginning is behind whatever was known of the one before. ARGV[1]: that time.
 */
const BEGIN = (state: string, urls: string): string => `
if redis.call('HEXISTS', ${state}, 'count') == 0 then
  redis.call('HSET', ${state}, 'count', ARGV[1], 'floor', ARGV[1], 'all', ARGV[1])
  redis.call('DEL', ${urls})
end
`

/**
 * KEYS: the answers to a key, the count of purges, the state of invalidations, the keys of the URL that is asked for. ARGV: the name of an answer that
 * does not vary, the host. Returns both counts; the number up to which all of the host is put out; whether the keys of that URL are there, without
 * which an answer could not be put out; then the only answer if there is one that does not vary, else the names of those that there are.
 */
export const FIND: Script = scriptOf(`
local count = redis.call('GET', KEYS[2]) or '0'
local state = redis.call('HMGET', KEYS[3], 'count', 'all', 'h:' .. ARGV[2])
local doubt = math.max(tonumber(state[2] or '0'), tonumber(state[3] or '0'))
local listed = redis.call('SISMEMBER', KEYS[4], KEYS[1])
local names = redis.call('HKEYS', KEYS[1])
if #names == 1 and names[1] == ARGV[1] then return { count, state[1] or '-1', doubt, listed, 1, redis.call('HGET', KEYS[1], names[1]) } end
return { count, state[1] or '-1', doubt, listed, 0, names }
`)

/**
 * KEYS: the answers to a key, the keys of its URL, the state and the URLs of invalidations. ARGV: name, answer, how many names at the most,
 * milliseconds to live; the URL, its host, the number that was known before it was asked for. Returns 0 if it may be from before it was put out.
 */
export const KEEP: Script = scriptOf(`
local number = tonumber(ARGV[7])
local state = redis.call('HMGET', KEYS[3], 'floor', 'all', 'h:' .. ARGV[6])
if not state[1] or number < tonumber(state[1]) or number < tonumber(state[2]) or number < tonumber(state[3] or '0') then return 0 end
if tonumber(redis.call('ZSCORE', KEYS[4], ARGV[5]) or '0') > number then return 0 end
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then redis.call('DEL', KEYS[1]) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('SADD', KEYS[2], KEYS[1])
for i = 1, 2 do
  if redis.call('PTTL', KEYS[i]) < tonumber(ARGV[4]) then redis.call('PEXPIRE', KEYS[i], ARGV[4]) end
end
return 1
`)

/**
 * KEYS: the state and the URLs of invalidations, the keys of each URL. ARGV: when it is, 1 for all hosts, the URLs, hosts. Their answers leave in the
 * same step. Returns the number that they have got.
 */
export const INVALIDATE: Script = scriptOf(`
local state, urls = KEYS[1], KEYS[2]
${BEGIN('state', 'urls')}
local number = redis.call('HINCRBY', state, 'count', 1)
-- Each number has a mark, so that it shows when they are lost.
redis.call('ZADD', urls, number, '')
for i = 3, #KEYS do
  for _, key in ipairs(redis.call('SMEMBERS', KEYS[i])) do redis.call('DEL', key) end
  redis.call('DEL', KEYS[i])
  redis.call('ZADD', urls, number, ARGV[i])
end
for i = #KEYS + 1, #ARGV do redis.call('HSET', state, 'h:' .. ARGV[i], number) end
if ARGV[2] == '1' or redis.call('HLEN', state) > 3 + ${MOST_HOSTS} then
  for _, field in ipairs(redis.call('HKEYS', state)) do
    if string.sub(field, 1, 2) == 'h:' then redis.call('HDEL', state, field) end
  end
  redis.call('HSET', state, 'all', number)
end
local extra = redis.call('ZCARD', urls) - ${MOST_INVALIDATED}
if extra > 0 then
  local floor = redis.call('ZRANGE', urls, extra - 1, extra - 1, 'WITHSCORES')[2]
  redis.call('ZREMRANGEBYSCORE', urls, '-inf', floor)
  redis.call('HSET', state, 'floor', floor)
end
return number
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

/**
 * KEYS: the count of purges, the purges, the state and the URLs of invalidations. ARGV: when it is, the last purge that is known, the last
 * invalidation. Returns the count of purges, the number of the first that is remembered, and those behind the known one; then the state of
 * invalidations, and the first URLs behind the known one with their numbers, if none of them is forgotten.
 */
export const HEAR: Script = scriptOf(`
local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
local purges = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[2], '+inf')
${BEGIN('KEYS[3]', 'KEYS[4]')}
local count, floor = unpack(redis.call('HMGET', KEYS[3], 'count', 'floor'))
-- They were evicted.
if count ~= floor and redis.call('ZREVRANGE', KEYS[4], 0, 0, 'WITHSCORES')[2] ~= count then
  redis.call('HSET', KEYS[3], 'floor', count)
  floor = count
end
local urls = {}
if tonumber(ARGV[3]) >= tonumber(floor) then urls = redis.call('ZRANGEBYSCORE', KEYS[4], '(' .. ARGV[3], '+inf', 'WITHSCORES', 'LIMIT', 0, ${MOST_HEARD}) end
return { redis.call('GET', KEYS[1]) or '0', first[2] or '0', purges, redis.call('HGETALL', KEYS[3]), urls }
`)
