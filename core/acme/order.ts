/** One order of a certificate, from the account to the chain (RFC 8555 §7.1), by the library acme-client, which is loaded for it. */
import { readFileSync } from 'node:fs'
import { Agent } from 'node:https'
import { setTimeout } from 'node:timers/promises'
import { rootCertificates } from 'node:tls'
import type { crypto as AcmeCrypto, Authorization } from 'acme-client'
import type { Challenge, RecordChange } from '../listener/challenges.ts'
import type { AcmePlan } from '../plan/plan.ts'
import { keep, readText } from './certificate-file.ts'

/** How an authority gets to see that names are ours. */
export interface Showing {
  /** Resolves when whoever asks is shown these, and no others. */
  show(challenges: readonly Challenge[]): Promise<void>
  /** In the zone of the certificate that is kept in that file. Resolves when it is done. */
  changeRecord(certificate: string, change: RecordChange): Promise<void>
}

const REQUEST_MS = 30_000
/** Between two looks at what becomes of an order: 2 s, 4 s, … 30 s, about three minutes in all. */
const POLLING = { backoffAttempts: 10, backoffMin: 2_000, backoffMax: 30_000 }

/** PEM: the key, new for each order, and the chain. Rejects with the authority's words. One at a time. */
export async function orderCertificate(plan: AcmePlan, { show, changeRecord }: Showing): Promise<string> {
  const { default: acme } = await import('acme-client')
  acme.axios.defaults.timeout = REQUEST_MS
  acme.axios.defaults.httpsAgent =
    plan.directoryCa === null ? undefined : new Agent({ ca: [...rootCertificates, textOf(plan.directoryCa)] })
  const accountKey = await accountKeyOf(plan, acme.crypto)
  const { keyId, hmacKey } = plan.externalAccount ?? {}
  const binding = keyId === undefined || hmacKey === undefined ? {} : { externalAccountBinding: { kid: keyId, hmacKey } }
  const client = new acme.Client({ directoryUrl: plan.directory, accountKey, ...binding, ...POLLING })
  const [key, csr] = await acme.crypto.createCsr({ altNames: [...plan.names] }, await acme.crypto.createPrivateEcdsaKey())
  const shown = new Map<string, Challenge>()
  try {
    const chain = await client.auto({
      csr,
      ...(plan.email === null ? {} : { email: plan.email }),
      termsOfServiceAgreed: true,
      challengePriority: [plan.challenge],
      // The authority looks from where it is, and so do we not.
      skipChallengeVerification: true,
      challengeCreateFn: async (authorization, challenge, keyAuthorization) => {
        if (challenge.type !== plan.challenge) throw new Error(`the authority does not take ${plan.challenge} for ${nameOf(authorization)}`)
        if (challenge.type === 'dns-01') {
          await changeRecord(plan.file, { act: 'set', ...recordOf(authorization, keyAuthorization) })
          return setTimeout(plan.dnsWait)
        }
        const { token } = challenge
        const made =
          challenge.type === 'http-01'
            ? { kind: 'http-01' as const, token, keyAuthorization }
            : await byTls(acme.crypto, authorization, keyAuthorization)
        shown.set(token, made)
        await show([...shown.values()])
      },
      challengeRemoveFn: async (authorization, { type, token }, keyAuthorization) => {
        if (type === 'dns-01') return changeRecord(plan.file, { act: 'remove', ...recordOf(authorization, keyAuthorization) })
        shown.delete(token)
        await show([...shown.values()])
      },
    })
    return `${String(key).trim()}\n${chain.trim()}\n`
  } finally {
    if (shown.size > 0) await show([])
  }
}

type Crypto = typeof AcmeCrypto

async function byTls(crypto: Crypto, authorization: Authorization, keyAuthorization: string): Promise<Challenge> {
  const [key, cert] = await crypto.createAlpnCertificate(authorization, keyAuthorization, await crypto.createPrivateEcdsaKey())
  return { kind: 'tls-alpn-01', name: nameOf(authorization), cert: String(cert), key: String(key) }
}

/** RFC 8555 §8.4. What is above many names is asked about by the name under the `*`. */
function recordOf(authorization: Authorization, value: string): { readonly name: string; readonly value: string } {
  return { name: `_acme-challenge.${nameOf(authorization)}`, value }
}

function nameOf({ identifier }: Authorization): string {
  return identifier.value.toLowerCase()
}

/** The account is whoever has its key: made once, and kept. */
async function accountKeyOf({ accountFile }: AcmePlan, crypto: Crypto): Promise<string> {
  const known = readText(accountFile)
  if (known !== null) return known
  const made = String(await crypto.createPrivateEcdsaKey())
  keep(accountFile, made)
  return made
}

function textOf(fileOrPem: string): string {
  return fileOrPem.includes('-----BEGIN') ? fileOrPem : readFileSync(fileOrPem, 'utf8')
}
