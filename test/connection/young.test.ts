/** The conversations once more as they are by default: the ring receives once a connection has lived for a while. */
// Runs alone: SLUICE_RING_AFTER counts when modules are loaded.
process.env.SLUICE_RING_AFTER = '2'
await import('./keep-alive.test.ts')
await import('./bodies.test.ts')
