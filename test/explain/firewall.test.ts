/** What the firewall needs, as `sluice transparent rules` prints it; that it works is seen by e2e/transparent.test.ts. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type FirewallAsked, firewallRules } from '../../core/explain/firewall.ts'
import { makeHook } from '../../core/hooks.ts'
import { type Config, forward, http, original, respond, tcp } from '../../core/index.ts'
import { compilePlan } from '../../core/plan/compile.ts'

const ASKED: FirewallAsked = { listener: null, ports: [80, 443], interface: null, user: null, undo: false }

function rulesOf(listeners: Config['listeners'], asked: Partial<FirewallAsked> = {}) {
  const plan = compilePlan({ listeners }, { generation: 0, folder: '/', bindUse: (_, key) => makeHook(key, {}) })
  return firewallRules(plan, { ...ASKED, ...asked })
}

const web = forward({ listen: '0.0.0.0:3129', transparent: 'redirect', open: true })
const gate = tcp({ listen: ':3130', transparent: 'tproxy', routes: [{ to: original() }] })
const plain = http({ listen: ':8080', routes: [{ respond: respond(200, '') }] })

test('redirect: what is for others, in the family that the listener has', () => {
  assert.equal(rulesOf({ web, plain }, { interface: 'eth1' }), {
    rules: `# the same command with --undo prints what takes this away; while the listener has the name and the port that it has now
# listener web
nft -f - <<'END'
table inet sluice_web_3129
delete table inet sluice_web_3129
table inet sluice_web_3129 {
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    iifname "eth1" fib daddr type != local tcp dport { 80, 443 } meta nfproto ipv4 redirect to :3129
  }
}
END`,
  })
})

test('redirect: programs of this machine too, but for the proxy itself', () => {
  const { rules } = rulesOf({ web }, { user: 'sluice', ports: [80] }) as { readonly rules: string }
  assert.match(rules, /hook output priority dstnat/)
  assert.match(rules, /meta skuid != "sluice" fib daddr type != local tcp dport \{ 80 \} meta nfproto ipv4 redirect to :3129/)
})

test('tproxy: both families, and routes that keep marked packets here', () => {
  const { rules } = rulesOf({ 'the-gate': gate }) as { readonly rules: string }
  assert.match(rules, /table inet sluice_the_gate_3130 \{\n {2}chain prerouting \{\n {4}type filter hook prerouting priority mangle/)
  assert.match(rules, /meta nfproto ipv4 tcp dport \{ 80, 443 \} tproxy ip to :3130 meta mark set 0x51ce accept/)
  assert.match(rules, /meta nfproto ipv6 tcp dport \{ 80, 443 \} tproxy ip6 to :3130 meta mark set 0x51ce accept/)
})

test('tproxy: the routes may be there already, and undone they may be gone', () => {
  const rulesFor = (asked: Partial<FirewallAsked>): string => (rulesOf({ gate, other }, asked) as { readonly rules: string }).rules
  const other = tcp({ listen: '0.0.0.0:3131', transparent: 'tproxy', routes: [{ to: original() }] })
  assert.match(
    rulesFor({}),
    /\nip rule del fwmark 0x51ce lookup 20942 2>\/dev\/null \|\| true\nip rule add fwmark 0x51ce lookup 20942\nip route replace local 0\.0\.0\.0\/0 dev lo table 20942\nip -6 rule/,
  )
  assert.is(
    rulesFor({ undo: true, listener: 'gate' }),
    `# listener gate
nft -f - <<'END'
table inet sluice_gate_3130
delete table inet sluice_gate_3130
END
# other listeners need the routes of ipv4: without --listener these go, too
ip -6 rule del fwmark 0x51ce lookup 20942 2>/dev/null || true
ip -6 route del local ::/0 dev lo table 20942 2>/dev/null || true`,
  )
  assert.match(rulesFor({ undo: true }), /\nip rule del .*\nip route del local 0\.0\.0\.0\/0 /)
})

test('tproxy: that a user changes nothing is said', () => {
  assert.match((rulesOf({ gate }, { user: 'sluice' }) as { readonly rules: string }).rules, /\n# --user is for redirect alone/)
})

test('without a transparent listener there is nothing to print, and that is said', () => {
  assert.equal(rulesOf({ plain }), {
    wrong: "no listener is transparent: transparent: 'redirect' or 'tproxy' makes it so",
  })
  assert.equal(rulesOf({ plain, gate }, { listener: 'plain' }), { wrong: 'plain is not transparent' })
  assert.equal(rulesOf({ gate }, { listener: 'gat' }), { wrong: 'there is no listener gat; did you mean gate?' })
})

test.run()
