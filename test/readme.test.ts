/** What the README shows is true: its configs and its plugin pass `check`, and the problem it prints is printed just so. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const root = resolve(import.meta.dirname, '..')
const readme = readFileSync(join(root, 'README.md'), 'utf8')
const blocks = [...readme.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(([, language, text]) => ({ language, text: text! }))
const sources = blocks.filter(({ language }) => language === 'ts').map(({ text }) => text)

function check(files: Readonly<Record<string, string>>): { status: number | null; output: string } {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-readme-'))
  try {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, name)), { recursive: true })
      writeFileSync(join(folder, name), text)
    }
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'core/main.ts'), 'check'], { cwd: folder, encoding: 'utf8' })
    return { status, output: stdout + stderr }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

test('the config passes check', () => {
  const [config] = sources.filter((text) => text.includes('split('))
  const { status, output } = check({ 'proxy.config.ts': config! })
  assert.is(status, 0, output)
})

test('the plugin and the config that uses it pass check', () => {
  const named = (name: string) => sources.find((text) => text.startsWith(`// ${name}`))!
  const { status, output } = check({
    'plugins/tag/index.ts': named('plugins/tag/index.ts'),
    'proxy.config.ts': named('proxy.config.ts'),
  })
  assert.is(status, 0, output)
})

test('the problem shown is the problem printed', () => {
  const shown = blocks.find(({ text }) => text.startsWith('proxy.config.ts:8:11'))!.text
  const config = `import { defineConfig, http } from 'sluice'

export default defineConfig({
  listeners: {
    web: http({
      listen: ':8080',
      routes: [
        { pth: '/x', to: 'http://127.0.0.1:3000' },
      ],
    }),
  },
})
`
  const { status, output } = check({ 'proxy.config.ts': config })
  assert.is(status, 1)
  assert.ok(output.startsWith(shown), output)
})

test.run()
