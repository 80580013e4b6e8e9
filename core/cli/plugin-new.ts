/**
 * `sluice plugin new`: a package that can be published as it is: source, a test against simulated requests, README, manifest. It ships
 * TypeScript: a proxy bundles its plugins itself, so there is nothing to build. No file is overwritten.
 */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { apiVersion } from '../plugin-api.ts'
import { exitCodes } from './exit-codes.ts'
import { peerRange } from './installation.ts'
import { formatJson } from './jsonc.ts'
import { shortPath } from './short-path.ts'
import { allowedScripts, neededPackages, readFiles, typePackages } from './starter.ts'
import { projectOptions } from './types.ts'

export interface PluginNewOptions {
  /** `geo`, `sluice-plugin-geo` or `@me/geo`. */
  readonly name: string
  /** Default: a folder of the package's name. */
  readonly dir?: string | null | undefined
}

export async function runPluginNew({ name, dir }: PluginNewOptions): Promise<number> {
  const fault = faultOf(name)
  if (fault !== null) return refuse(`${JSON.stringify(name)} cannot be the name of a package: ${fault}`, exitCodes.usage)
  const names = namesOf(name)
  const folder = resolve(dir ?? names.folder)
  if (existsSync(folder) && readdirSync(folder).length > 0) return refuse(`the folder ${folder} is not empty`, exitCodes.failed)
  for (const [path, text] of pluginFiles(names)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
    say(`  ${path}`)
  }
  say(`\nThe package ${names.package}. Next:\n  cd ${shortPath(folder)} && npm install\n  npm test\n  npm publish`)
  say(`In a project: npm install ${folder}, then import ${names.variable} from '${names.package}'`)
  return exitCodes.ok
}

function refuse(message: string, code: number): number {
  process.stderr.write(`sluice: ${message}\n`)
  return code
}

interface Names {
  /** `sluice-plugin-geo` */
  readonly package: string
  /** `geo`, in logs. */
  readonly label: string
  /** `geo`, in a config. */
  readonly variable: string
  readonly folder: string
}

/** What npm says of names of new packages. */
function faultOf(name: string): string | null {
  const part = '[a-z0-9~-][a-z0-9._~-]*'
  if (name !== name.toLowerCase()) return 'it may not have capitals'
  if (!new RegExp(`^(?:@${part}/)?${part}$`).test(name)) return 'use a-z, 0-9, - and ., as in geo or @me/geo'
  if (name.length > 200) return 'it is too long'
  const { package: full } = namesOf(name)
  return full === 'node_modules' || builtinModules.includes(full) ? 'it is taken' : null
}

/** A name without a scope gets the prefix by which plugins are found. */
function namesOf(name: string): Names {
  const [, scope = '', last = name] = /^(@[^/]+\/)?(.*)$/.exec(name) ?? []
  const full = scope === '' && !last.startsWith('sluice-plugin-') ? `sluice-plugin-${last}` : name
  const label =
    last
      .replace(/^sluice-plugin-/, '')
      .replace(/[^a-z0-9-]+/g, '-')
      .replace(/^-+|-+$/g, '') || 'plugin'
  const camel = label.replace(/-+(.)/g, (_, letter: string) => letter.toUpperCase())
  return { package: full, label, variable: /^[a-z]/.test(camel) ? camel : `plugin${camel}`, folder: full.replace(/^@[^/]+\//, '') }
}

function pluginFiles(names: Names): [path: string, text: string][] {
  const fill = (text: string): string =>
    text.replaceAll('PLUGIN_PACKAGE', names.package).replaceAll('PLUGIN_LABEL', names.label).replaceAll('PLUGIN_NAME', names.variable)
  const sources = [...readFiles(join(import.meta.dirname, 'templates/plugin'))].map(([path, text]): [string, string] => [path, fill(text)])
  const options = projectOptions({ types: ['sluice/sandbox'], typeRoots: [], paths: null })
  return [
    ...sources,
    ['package.json', `${formatJson(manifest(names))}\n`],
    // The editor takes the nearest one: the source is checked against the sandbox's globals, its test against Node's.
    ['tsconfig.json', `${formatJson({ compilerOptions: options, include: ['*.ts'] })}\n`],
    ['test/tsconfig.json', `${formatJson({ extends: '../tsconfig.json', compilerOptions: { types: ['node'] }, include: ['*.ts'] })}\n`],
    ['.gitignore', 'node_modules/\n*.tgz\n'],
    ['README.md', readme(names)],
  ]
}

function manifest({ package: name, label }: Names): unknown {
  return {
    name,
    version: '0.1.0',
    description: `A plugin of Sluice: ${label}`,
    license: 'MIT',
    type: 'module',
    // By this word, and by the peer dependency, a proxy knows that the package runs in the sandbox.
    keywords: ['sluice-plugin'],
    exports: './index.ts',
    types: './index.ts',
    files: ['index.ts', 'README.md'],
    scripts: { test: 'node --test', check: 'tsc && tsc -p test' },
    // A proxy outside of that range, or of an older plugin API, says so instead of loading it.
    peerDependencies: { sluice: peerRange() },
    sluice: { api: apiVersion },
    devDependencies: { ...typePackages, ...neededPackages() },
    allowScripts: allowedScripts(),
  }
}

function readme({ package: name, variable, label }: Names): string {
  return `# ${name}

A plugin of Sluice: adds \`x-${label}\` to every request.

\`\`\`ts
import { defineConfig, http } from 'sluice'
import ${variable} from '${name}'

export default defineConfig({
  listeners: {
    web: http({ listen: ':8080', use: [${variable}({ value: 'yes' })], routes: [{ to: 'http://127.0.0.1:3000' }] }),
  },
})
\`\`\`

| option | |
| --- | --- |
| \`value\` | the value of the field; without it, the method and the path |

It reads no header field and asks for no permission; \`sluice check\` lists what it was granted. \`npm test\` runs it in its sandbox.
`
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}
