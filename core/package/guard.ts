/** Waits for the end of the npm that packs, then puts package.json back, which postpack has done unless npm was interrupted. */
import { spawnSync } from 'node:child_process'
import { resolve } from 'node:path'
import { restoreManifest } from './manifest.ts'

const npm = findNpm(Number(process.argv[2]))
process.stdout.write('ready\n')
const timer = setInterval(() => {
  if (isRunning(npm)) return
  clearInterval(timer)
  restoreManifest(resolve(import.meta.dirname, '../..'))
}, 200)

/** The first process upwards that is no shell: npm runs a script in one, which some systems leave standing between us. */
function findNpm(pid: number): number {
  const { stdout } = spawnSync('ps', ['-o', 'ppid=,comm=', '-p', String(pid)], { encoding: 'utf8' })
  const [, parent, command] = /^\s*(\d+)\s+(.*)$/m.exec(stdout ?? '') ?? []
  return parent !== undefined && /(^|\/)-?\w*sh$/.test(command!.trim()) ? findNpm(Number(parent)) : pid
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
