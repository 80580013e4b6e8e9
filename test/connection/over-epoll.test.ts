/** The conversations once more where there is no io_uring: each read and each write is a system call. */
// Runs alone: SLUICE_NO_RING counts when modules are loaded.
process.env.SLUICE_NO_RING = '1'
await import('../net/kernel-wire.test.ts')
await import('./keep-alive.test.ts')
await import('./bodies.test.ts')
await import('./upgrade.test.ts')
