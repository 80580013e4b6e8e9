/** The conversations once more where bare handles cannot be used: over Node's own sockets. */
// Runs alone: SLUICE_NO_HANDLES counts when modules are loaded.
process.env.SLUICE_NO_HANDLES = '1'
await import('./keep-alive.test.ts')
await import('./bodies.test.ts')
await import('./deadlines.test.ts')
await import('./drain.test.ts')
await import('./ends.test.ts')
await import('./expect.test.ts')
await import('./refusals.test.ts')
await import('./upgrade.test.ts')
await import('../http/fields.test.ts')
await import('../http/hooks.test.ts')
await import('../upstream/attempts.test.ts')
