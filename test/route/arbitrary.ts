/** Rules and requests by chance, few enough values that they often meet: every field, groups, lists, patterns of each kind, `when`. */
import fc from 'fast-check'
import { CidrSet } from '../../core/net/cidr.ts'
import type { RequestOptions, RuleOptions } from './support.ts'

const hostName = fc.constantFrom('a', 'b.a', 'c.b.a', 'x.y', 'y')
const hostPattern = fc.oneof(
  hostName,
  hostName.map((name) => `*.${name}`),
)

const piece = fc.constantFrom('/a', '/b', '/:p', '/a:p', '/c', '/*', '*', '/', '/:p?', '/:p*')
const written = fc.array(piece, { minLength: 1, maxLength: 4 }).map((pieces) => {
  let count = 0
  return `/${pieces.join('')}`.replace(/\/+/g, '/').replace(/:p/g, () => `:p${count++}`)
})
// A star straight behind a name would be its modifier twice over.
export const pathPattern = fc.oneof(
  { weight: 6, arbitrary: written.filter((path) => !/\*\*|\?\*|\*:|\?:/.test(path)) },
  { weight: 1, arbitrary: fc.constantFrom(/b$/, /^\/a/, '/:p(a|b)', /^\/a\/b?c/, /^\/a(x|\/b)/, /^\/c\/|b/, /^\/A/i, '/a/:p(\\w+)/*') },
)

const networks = fc.subarray(['10.0.0.0/8', '10.1.0.0/16', '11.0.0.1', 'fe80::/10', '10.128.0.0/9', '10.0.0.0/9'], {
  minLength: 1,
  maxLength: 2,
})
const test = fc.oneof(fc.boolean(), fc.subarray(['1', '2', /^1/], { minLength: 1 }))
const tests = (name: string) =>
  fc.oneof({ weight: 4, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: test.map((one) => [[name, one] as const]) })

/** A function that depends on the request alone. */
const when = fc.constantFrom(
  (view: { readonly method: string }) => view.method === 'GET',
  (view: { readonly path: string }) => view.path.length > 3,
)

/** `null` so many times to one value. */
function orNull<T>(nulls: number, arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | null> {
  return fc.oneof({ weight: nulls, arbitrary: fc.constant(null) }, { weight: 1, arbitrary })
}

const level: fc.Arbitrary<RuleOptions> = fc.record({
  hosts: orNull(1, fc.array(hostPattern, { minLength: 1, maxLength: 3 })),
  paths: orNull(1, fc.array(pathPattern, { minLength: 1, maxLength: 3 })),
  methods: orNull(2, fc.subarray(['GET', 'PUT', 'POST'], { minLength: 1 })),
  headers: tests('x-a'),
  query: tests('q'),
  cookies: tests('c'),
  from: orNull(
    4,
    networks.map((list) => new CidrSet(list)),
  ),
  when: orNull(6, when),
})

/** The levels of one rule, outermost first. */
export const ruleLevels = fc.oneof(
  { weight: 3, arbitrary: fc.tuple(level) },
  { weight: 1, arbitrary: fc.array(level, { minLength: 2, maxLength: 3 }) },
) satisfies fc.Arbitrary<readonly RuleOptions[]>

const path = fc.array(fc.constantFrom('a', 'b', 'c', 'ax', ''), { maxLength: 4 }).map((parts) => `/${parts.join('/')}`.replace(/\/+/g, '/'))

export const anyRequest: fc.Arbitrary<RequestOptions> = fc.record({
  host: hostName,
  method: fc.constantFrom('GET', 'PUT', 'POST', 'HEAD'),
  path,
  search: fc.constantFrom('', '?q=1', '?q=2&q=12', '?x'),
  ip: fc.constantFrom('10.1.2.3', '10.200.0.1', '11.0.0.1', '127.0.0.1', 'fe80::1'),
  headers: fc.constantFrom({}, { 'x-a': '1' }, { 'x-a': '12', cookie: 'c=1' }, { cookie: 'c=2; c=1' }),
})
