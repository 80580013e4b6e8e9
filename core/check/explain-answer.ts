/** Explains one request in the checking process: there the config is evaluated, its functions run and its plugins are loaded. */
import { dirname } from 'node:path'
import type { Bundle } from '../config/bundle.ts'
import type { LocatedConfig } from '../config/located.ts'
import { shownFile } from '../config/problems.ts'
import { secretsOf } from '../config/secrets.ts'
import { explain } from '../explain/explain.ts'
import type { Asked, Explanation } from '../explain/explanation.ts'
import type { PluginFacts } from '../explain/use.ts'
import type { Config } from '../index.ts'
import { createMatcher } from '../sandbox/match.ts'
import { describeUses, type UseFacts } from './plugins.ts'

export interface ToExplain {
  readonly bundle: Bundle
  /** Of a valid config. */
  readonly located: LocatedConfig
  readonly asked: Asked
}

export async function explainRequest({ bundle, located, asked }: ToExplain): Promise<Explanation> {
  const config = located.config as Config
  const uses = bundle.plugins.length === 0 ? [] : await describeUses(config, bundle)
  const folder = dirname(bundle.file)
  const secrets = secretsOf(config)
  return explain(
    {
      ...{ config, folder, plugins: uses.map(factsOf) },
      nameOf(path) {
        const { file, line, column } = located.placeOf(path)
        return line === 0 ? shownFile(file, folder) : `${shownFile(file, folder)}:${line}:${column}`
      },
      mask: (text) => secrets.maskMessage(text),
    },
    asked,
  )
}

function factsOf(use: UseFacts): PluginFacts {
  const matcher = createMatcher(use.match)
  const release = use.package === null ? null : `${use.package.name} ${use.package.version}`
  return { ...use, release, match: matchText(use.match), matches: (head) => matcher === null || matcher(head) }
}

/** `path /api/*, method GET` */
function matchText(match: UseFacts['match']): string | null {
  const fields = Object.entries(match ?? {}).filter(([, value]) => value !== undefined)
  return fields.length === 0 ? null : fields.map(([name, value]) => `${name} ${[value].flat().join(' or ')}`).join(', ')
}
