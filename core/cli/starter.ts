/** The templates of `sluice init`, and the files of a project that are the same for all of them. */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { dependencyOn, runtimeDependency } from './installation.ts'
import { formatJson } from './jsonc.ts'
import { pluginsConfig, projectFiles, projectOptions } from './types.ts'

export interface Template {
  readonly name: string
  readonly help: string
  /** What to try once it runs. */
  readonly tryOut: string
}

export const templates: readonly Template[] = [
  { name: 'reverse', help: 'a reverse proxy before your servers', tryOut: 'curl localhost:8080/health' },
  { name: 'forward', help: 'a forward proxy', tryOut: 'curl -x localhost:3128 https://example.com' },
  { name: 'l4', help: 'TCP and TLS by server name', tryOut: 'curl -k https://localhost:8443' },
]

/** By path in the project. */
export type Files = ReadonlyMap<string, string>

/** The files that make a template what it is: config, plugin, a test of each. */
export function templateFiles(template: Template): Files {
  return readFiles(join(import.meta.dirname, 'templates', template.name))
}

export function readFiles(folder: string): Files {
  const paths = globSync('**/*.ts', { cwd: folder }).sort()
  return new Map(paths.map((path) => [path, readFileSync(join(folder, path), 'utf8')]))
}

/** What a project needs around them; an existing one may have them already. */
export function surroundingFiles(template: Template, name: string): Files {
  const tsconfig = { compilerOptions: projectOptions({ types: ['node'], typeRoots: [], paths: null }), include: projectFiles }
  return new Map([
    ['package.json', `${formatJson(manifest(name))}\n`],
    ['tsconfig.json', `${formatJson(tsconfig)}\n`],
    ['plugins/tsconfig.json', `${formatJson(pluginsConfig(false))}\n`],
    ['.gitignore', 'node_modules/\n*.log\n.env\n'],
    ['README.md', readme(template, name)],
  ])
}

export const scripts: Readonly<Record<string, string>> = { start: 'sluice', check: 'sluice check', test: 'node --test' }
/** For the editor and for `sluice check`; nothing of it runs. */
export const typePackages: Readonly<Record<string, string>> = { '@types/node': '^26.6.6', typescript: '^7.0.2' }

/** Without them nothing runs. */
export function neededPackages(): Readonly<Record<string, string>> {
  return { ...runtimeDependency(), sluice: dependencyOn() }
}

/** npm 12 and newer run no script of a package that is not named in `allowScripts`, and Node comes by one. */
export function allowedScripts(): Readonly<Record<string, boolean>> {
  return Object.fromEntries([...Object.keys(runtimeDependency()), ...WITH_SCRIPTS].map((name) => [name, true]))
}

/** What comes along with this one: they run without, where what they bring is for the machine. */
const WITH_SCRIPTS = ['bcrypt', 'esbuild', 'isolated-vm']

function manifest(name: string): unknown {
  return {
    name,
    private: true,
    type: 'module',
    scripts,
    allowScripts: allowedScripts(),
    dependencies: neededPackages(),
    devDependencies: typePackages,
  }
}

function readme(template: Template, name: string): string {
  return `# ${name}

\`npm install\` brings Sluice, which needs Node 26.9 (\`npm install node@26\` brings that too).
\`npm start\` runs \`proxy.config.ts\` and follows every change of it; try \`${template.tryOut}\`.
\`npm run check\` tells every mistake at its place; \`npx sluice explain GET http://example.com/x\` tells which route a request takes.
\`npm test\` runs the config and each plugin against simulated traffic; no port is opened.
Plugins live in \`plugins/NAME/index.ts\`: they run in a sandbox, and importing one from the config is all it takes.
`
}
