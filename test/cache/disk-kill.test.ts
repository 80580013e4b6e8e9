/** What a process that is killed in the midst of writing leaves behind: whole answers, or none. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { StoredResponse } from '../../core/cache/stored-response.ts'
import { LATER } from '../../core/cache/tier.ts'
import { bodyOf, openDisk } from '../support/disk-writer.ts'

const KILLS = Number(process.env.SLUICE_KILLS ?? 2)

test(`after ${KILLS} times kill -9 while it writes, all that is found is what was written`, async () => {
  const path = mkdtempSync(join(tmpdir(), 'sluice-kill-'))
  let next = 1
  let found = 0
  for (let kill = 1; kill <= KILLS; kill++) {
    next = (await killedWriter(path, next)) + 1000
    const disk = openDisk(path, 1e9)
    const listed = await disk.list('', 1000)
    for (const { url, bytes } of listed) {
      const number = Number(url.slice('http://x/'.length))
      const response = await find(disk, number)
      // Its file may not have got its name.
      if (response === null) continue
      found++
      assert.is(response.lines, `Cache-Control: max-age=3600\r\nX-Number: ${number}\r\n`)
      assert.ok(response.body.bytes.equals(bodyOf(number)) && bytes === bodyOf(number).length, `answer ${number}`)
    }
    await disk.close()
  }
  assert.ok(found >= KILLS * 20, `${found} found`)
  assert.is(readdirSync(join(path, 'default/1/new')).length, 0, 'what was half written is deleted')
  rmSync(path, { recursive: true })
})

/** Returns the number of the last answer that it has surely written. */
async function killedWriter(path: string, first: number): Promise<number> {
  const program = new URL('../support/disk-writer.ts', import.meta.url).pathname
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program, path, String(first)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let last = 0
  for await (const text of child.stdout.setEncoding('utf8') as AsyncIterable<string>) {
    const isFirst = last === 0
    last = Number(text.trim().split('\n').at(-1))
    // In the midst of what comes next.
    if (isFirst) setTimeout(() => child.kill('SIGKILL'), Math.random() * 30)
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  return last
}

function find(disk: ReturnType<typeof openDisk>, number: number): Promise<StoredResponse | null> {
  return new Promise((resolve) => {
    const settle = (response: StoredResponse | null): void => {
      if (response === null || response.body.state === 'complete') return resolve(response)
      response.body.join({ onMore: () => settle(response), onBroken: () => resolve(null) })
    }
    const now = disk.find({ key: `key ${number}`, url: '', request: { get: () => null }, than: null }, settle)
    if (now !== LATER) settle(now)
  })
}

test.run()
