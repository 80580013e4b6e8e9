/** After npm has read the files: package.json is the checkout's again, and what was compiled is gone. */
import { rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { restoreManifest } from './manifest.ts'

const root = resolve(import.meta.dirname, '../..')
restoreManifest(root)
rmSync(join(root, 'dist'), { recursive: true, force: true })
