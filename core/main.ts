#!/usr/bin/env node
/** The command line's entry: refuses an old runtime with one clear line before it loads anything that needs a new one. */
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < 26 || (major === 26 && minor < 9)) {
  process.stderr.write(
    `sluice needs Node.js 26.9 or newer; this is ${process.version} (${process.execPath}). npm install node@26 brings one to a project.\n`,
  )
  process.exit(1)
}
// What is an experiment of Node's is told in core/README.md. Workers are started with an option for that.
const { emitWarning } = process
process.emitWarning = (warning: string | Error, ...more: unknown[]): void => {
  if (more[0] !== 'ExperimentalWarning') (emitWarning as (...all: unknown[]) => void)(warning, ...more)
}
// Before anything else is loaded, so that it comes from there.
const { openModuleCache } = await import('./process/module-cache.ts')
const cacheFolder = openModuleCache()
const { runCommandLine } = await import('./cli/command-line.ts')
process.exit(await runCommandLine(process.argv.slice(2), cacheFolder))
