/** The options of a benchmark. `--help` prints what its file opens with, and exits; so does an option that there is not, with an error. */
import { readFileSync } from 'node:fs'
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util'

type Values<Options extends ParseArgsOptionsConfig> = ReturnType<typeof parseArgs<{ options: Options }>>['values']

/** `file`: the benchmark's own. */
export function readOptions<const Options extends ParseArgsOptionsConfig>(file: string, options: Options): Values<Options> {
  if (process.argv.slice(2).some((word) => word === '--help' || word === '-h')) {
    console.log(openingOf(file))
    process.exit(0)
  }
  try {
    return parseArgs({ options }).values
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${openingOf(file)}`)
    process.exit(2)
  }
}

/** The comment at the top, as text. */
function openingOf(file: string): string {
  const [, comment = ''] = /^\/\*\*(.*?)\*\//s.exec(readFileSync(file, 'utf8')) ?? []
  return comment.replace(/^ \* ?/gm, '').trim()
}
