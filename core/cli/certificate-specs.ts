/** The commands that make certificates, as the parser reads them and the help tells them. Data alone. */
import type { CommandSpec, OptionSpec } from './arguments.ts'
import { ok, usage } from './shared-options.ts'

export const certDev: CommandSpec = {
  name: 'cert dev',
  operands: { least: 0, most: 100 },
  usage: ['cert dev [NAMES…] [options]'],
  summary: 'certificates for trying things out, by an authority of your own',
  about:
    'Makes an authority, once, and a certificate by it (ECDSA P-256) for these names and for localhost, 127.0.0.1 and ::1; prints the lines for ' +
    'the config and how to trust the authority. Files are for your eyes alone (0600). Not for production: there, take one that clients trust.',
  options: [
    { name: 'dir', value: 'DIR', help: 'where to write them (default: certs)' },
    { name: 'days', value: 'N', help: 'how long the certificate is good, up to 397 (default: 90)' },
    { name: 'client', value: 'NAME', help: 'also a certificate of a client, for clientCertificate' },
    { name: 'force', help: 'replace certificates that are there already; the authority stays' },
  ],
  examples: [
    ['sluice cert dev', 'for localhost, in ./certs'],
    ["sluice cert dev api.example.test '*.example.test'", 'for names of your own'],
    ['sluice cert dev spiffe://example.test/orders', 'for a sidecar: good for both sides'],
    ['sluice cert dev --client ann', 'to try clientCertificate: require'],
  ],
  exits: [ok, [1, 'files are in the way: they are listed, and nothing was written'], usage],
  environment: [],
}

const caDir: OptionSpec = { name: 'dir', value: 'DIR', help: 'the folder of ca.pem and ca.key (default: this one)' }

export const caCreate: CommandSpec = {
  name: 'ca create',
  operands: { least: 0, most: 0 },
  usage: ['ca create [options]'],
  summary: 'an authority of your own, for intercept of a forward proxy',
  about:
    'Makes ca.pem and ca.key (ECDSA P-256, the key for your eyes alone): the authority by which `intercept` signs for the sites that clients ask for, if they ' +
    'trust it. Nothing is replaced. Use it for people who know of it, on machines that are yours.',
  options: [
    caDir,
    { name: 'days', value: 'N', help: 'how long it is good, up to 7300 (default: 3650)' },
    { name: 'name', value: 'TEXT', help: 'what clients see as the issuer (default: of you and this machine)' },
    {
      name: 'permit',
      value: 'DOMAIN',
      isList: true,
      help: 'sign for this domain and all under it alone, and for no address: a stolen key is worth little then; may be given several times',
    },
  ],
  examples: [
    ['sluice ca create', './ca.pem and ./ca.key'],
    ['sluice ca create --dir /etc/sluice --permit corp.example', 'for one domain'],
  ],
  exits: [ok, [1, 'files are in the way, or cannot be written: nothing was'], usage],
  environment: [],
}

export const caShow: CommandSpec = {
  name: 'ca show',
  operands: { least: 0, most: 0 },
  usage: ['ca show [options]'],
  summary: 'name, dates and fingerprint of that authority',
  about:
    'Tells where the authority is, what it is called, until when it is good, and its fingerprint, to compare with what a client shows.',
  options: [caDir],
  examples: [['sluice ca show', 'of ./ca.pem']],
  exits: [ok, [1, 'there is none, or it cannot be used: why is told'], usage],
  environment: [],
}

export const caTrustHelp: CommandSpec = {
  name: 'ca trust-help',
  operands: { least: 0, most: 0 },
  usage: ['ca trust-help [options]'],
  summary: 'how clients come to trust it: systems, browsers, Node, curl',
  about: 'Prints the commands that make a system, a browser or a program trust the authority. Changes nothing.',
  options: [caDir],
  examples: [['sluice ca trust-help', 'of ./ca.pem']],
  exits: [ok, [1, 'there is no authority'], usage],
  environment: [],
}
