/** Configs and plugins that a test writes, in a folder that goes with the test. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const folder = mkdtempSync(join(tmpdir(), 'sluice-testing-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

let written = 0

/** Writes a file of that name and returns its path. */
export function write(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

/** A config with one listener `web` on :8080: `routes` is the text of its routes, `before` what stands before the export. */
export function config(routes: string, { before = '', listener = '', more = '' } = {}): string {
  return write(
    `proxy-${written++}.config.ts`,
    `import { defineConfig, env, http, redirect, respond, split, upstream } from 'sluice'
${before}
export default defineConfig({
  listeners: { web: http({ listen: ':8080', ${listener} routes: [${routes}] }), ${more} },
})
`,
  )
}
