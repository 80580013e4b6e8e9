/** After npm has read the files: package.json is the checkout's again. */
import { resolve } from 'node:path'
import { restoreManifest } from './manifest.ts'

restoreManifest(resolve(import.meta.dirname, '../..'))
