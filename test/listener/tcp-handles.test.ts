/** The same conversations as in tcp.test.ts where there are no system calls of our own. */
// Runs with SLUICE_NO_FFI=1: it counts when modules are loaded.
process.env.SLUICE_NO_FFI = '1'
await import('./tcp.test.ts')
