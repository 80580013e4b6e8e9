/** One order of a certificate, from the account to the chain (RFC 8555 §7.1), by the library acme-client, which is loaded for it. */
import { readFileSync } from 'node:fs'
import { Agent } from 'node:https'
import { rootCertificates } from 'node:tls'
import type { crypto as AcmeCrypto, Authorization } from 'acme-client'
import type { Challenge } from '../listener/challenges.ts'
import type { AcmePlan } from '../plan/plan.ts'
import { keep, readText } from './certificate-file.ts'

/** Resolves when whoever asks is shown these, and no others. */
export type Show = (challenges: readonly Challenge[]) => Promise<void>

const REQUEST_MS = 30_000
/** Between two looks at what becomes of an order: 2 s, 4 s, … 30 s, about three minutes in all. */
const POLLING = { backoffAttempts: 10, backoffMin: 2_000, backoffMax: 30_000 }

/** PEM: the key, new for each order, and the chain. Rejects with the authority's words. One at a time. */
export async function orderCertificate(plan: AcmePlan, show: Show): Promise<string> {
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
        const { token } = challenge
        const made =
          challenge.type === 'http-01'
            ? { kind: 'http-01' as const, token, keyAuthorization }
            : await byTls(acme.crypto, authorization, keyAuthorization)
        shown.set(token, made)
        await show([...shown.values()])
      },
      challengeRemoveFn: async (_authorization, { token }) => {
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
