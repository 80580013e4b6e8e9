/** `npm pack` and `npm publish`, before the files are read: compiles, then exchanges package.json until npm is done with it. */
import { spawn } from 'node:child_process'
import { join, resolve } from 'node:path'
import { buildPackage } from './build.ts'
import { exchangeManifest, restoreManifest } from './manifest.ts'

const root = resolve(import.meta.dirname, '../..')
restoreManifest(root)
buildPackage(join(root, 'dist'))
// Puts package.json back if npm ends without calling postpack: interrupted, killed, or out of space.
const guard = spawn(process.execPath, [join(import.meta.dirname, 'guard.ts'), String(process.ppid)], {
  detached: true,
  stdio: ['ignore', 'pipe', 'ignore'],
})
// It has found npm: from here on this process may end.
await new Promise((resolve) => guard.stdout.once('data', resolve).once('end', resolve))
guard.stdout.destroy()
guard.unref()
exchangeManifest(root)
