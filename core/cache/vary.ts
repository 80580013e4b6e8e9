/**
 * Vary (RFC 9111 §4.1): which fields of a request chose the answer, and a text that is the same for requests that would get the same one.
 * Pure.
 */
import type { Head } from '../net/http1/head.ts'
import { flat } from './flat-text.ts'

/** More names than that are not told apart: such an answer is not kept. */
const MOST_NAMES = 12

const OURS = /^(?:client-cert(?:-chain)?|forwarded|x-forwarded-for|x-real-ip|via)$/

let lastText = ''
let lastVary: readonly string[] | '*' | null = null

/** Lower-case names, sorted, each once; `'*'`: no other request gets this answer; null: every one does. */
export function readVary(text: string | null): readonly string[] | '*' | null {
  if (text === null) return null
  // An endpoint says the same of most of its answers.
  if (text !== lastText) {
    lastVary = parseVary(text)
    lastText = flat(text)
  }
  return lastVary
}

function parseVary(text: string): readonly string[] | '*' | null {
  const names = new Set<string>()
  for (const part of text.split(',')) {
    const name = part.trim().toLowerCase()
    // What the proxy itself writes is not in the request that is looked at here.
    if (name === '*' || OURS.test(name)) return '*'
    if (name !== '') names.add(name)
  }
  if (names.size === 0) return null
  return names.size > MOST_NAMES ? '*' : [...names].sort()
}

/** Of a request. A field that is not there is another thing than an empty one. */
export function variantOf(names: readonly string[] | null, request: Pick<Head, 'get'>): string {
  if (names === null) return ''
  let text = ''
  for (const name of names) {
    const value = request.get(name)
    text += value === null ? '\n' : `=${normalised(name, value)}\n`
  }
  return text
}

/** RFC 9111 §4.1: white space, and what is known of the field, make no difference. */
function normalised(name: string, value: string): string {
  switch (name) {
    case 'accept-encoding':
      return acceptedCodings(value)
    case 'accept':
    case 'accept-language':
      return value.toLowerCase().replace(/[ \t]+/g, '')
    default:
      // Runs of white space first, or each place of one is tried.
      return value.replace(/[ \t]+/g, ' ').replace(/ ?, ?/g, ',')
  }
}

/** Clients say one of a few things: what was said last is not read anew. */
const RECENT = 8
const MOST_REMEMBERED = 256
const recentTexts: string[] = new Array<string>(RECENT).fill('')
const recentCodings: string[] = new Array<string>(RECENT).fill('')
let oldest = 0

function acceptedCodings(value: string): string {
  const known = recentTexts.indexOf(value)
  if (known >= 0) return recentCodings[known]!
  const codings = readCodings(value)
  if (value.length > MOST_REMEMBERED) return codings
  recentTexts[oldest] = flat(value)
  recentCodings[oldest] = codings
  oldest = (oldest + 1) % RECENT
  return codings
}

/** `gzip, deflate, br;q=1.0` → `br,deflate,gzip`: without order and without weights, those with weight 0 with a sign in front. */
function readCodings(value: string): string {
  const codings = value
    .toLowerCase()
    .split(',')
    .map((part) => {
      const [coding = '', ...parameters] = part.split(';')
      const weight = parameters.find((parameter) => /^\s*q\s*=/.test(parameter))
      const isRefused = weight !== undefined && Number(weight.slice(weight.indexOf('=') + 1)) === 0
      return (isRefused ? '-' : '') + coding.trim().replace(/^x-gzip$/, 'gzip')
    })
  return [...new Set(codings)]
    .filter((coding) => coding !== '' && coding !== '-')
    .sort()
    .join()
}
