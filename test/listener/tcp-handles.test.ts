/** The same conversations as in tcp.test.ts where there are no system calls of our own. */
// Runs alone: SLUICE_NO_FFI counts when modules are loaded.
process.env.SLUICE_NO_FFI = '1'
await import('./tcp.test.ts')
