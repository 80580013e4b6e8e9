/** What wrk asks for where it is not always the same: Lua for a run of it. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Lane } from './lanes.ts'
import { folder } from './processes.ts'

/** What a cached lane's clients ask for with `If-None-Match`, and how the origin names it. */
export const ENTITY_TAG = '"bench"'
const URLS = 10_000
/** Long enough that the last of the URLs comes up twice or thrice. */
const DRAWN = 1 << 18
let runs = 0

/** A script of wrk for this run alone: new URLs are new in each; null where one URL is all. */
export function urlScript({ name, path, asks }: Lane): string | null {
  if (asks !== 'new' && asks !== 'zipf') return null
  const run = ++runs
  const file = join(folder, `urls-${name}-${run}.lua`)
  writeFileSync(file, asks === 'new' ? newUrls(path, run) : zipfUrls(path, run))
  return file
}

/** The URLs that are asked for again and again, one a line, as h2load reads them. */
export function knownUrls({ name, path }: Lane, port: number): { readonly file: string; readonly count: number } {
  const file = join(folder, `urls-${name}-${port}`)
  writeFileSync(file, Array.from({ length: URLS }, (_, i) => `http://127.0.0.1:${port}${path}?${i + 1}\n`).join(''))
  return { file, count: URLS }
}

// The head is formatted once and cut in two: wrk's own core is the origin's too.
const cut = (path: string): string => `head, rest = wrk.format(nil, "${path}?MARK"):match("^(.-)MARK(.*)$")`

function newUrls(path: string, run: number): string {
  return `local head, rest
local count = 0
function init() ${cut(path)} end
function request()
  count = count + 1
  return head .. "new-${run}-" .. count .. rest
end
`
}

/** Nine of ten among 10,000, the one of rank n as often as 1/n, always the same sequence; one of ten that nobody has asked for. */
function zipfUrls(path: string, run: number): string {
  return `local head, rest
local drawn, at, count = {}, ${(run * 30_011) % DRAWN}, 0
function init()
  ${cut(path)}
  local sum, upTo = 0, {}
  for rank = 1, ${URLS} do
    sum = sum + 1 / rank
    upTo[rank] = sum
  end
  local rank = 1
  for i = 1, ${DRAWN} do
    while upTo[rank] < (i - 0.5) / ${DRAWN} * sum do rank = rank + 1 end
    drawn[i] = head .. rank .. rest
  end
  math.randomseed(7)
  for i = ${DRAWN}, 2, -1 do
    local other = math.random(i)
    drawn[i], drawn[other] = drawn[other], drawn[i]
  end
end
function request()
  count = count + 1
  if count % 10 == 0 then return head .. "new-${run}-" .. count .. rest end
  at = at % ${DRAWN} + 1
  return drawn[at]
end
`
}
