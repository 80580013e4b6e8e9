/** The conversations once more where there are no system calls of our own: over bare handles. */
// Runs alone: SLUICE_NO_FFI counts when modules are loaded.
process.env.SLUICE_NO_FFI = '1'
await import('./keep-alive.test.ts')
await import('./bodies.test.ts')
await import('./drain.test.ts')
await import('./ends.test.ts')
await import('./upgrade.test.ts')
