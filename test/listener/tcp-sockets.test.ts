/** The same conversations as in tcp.test.ts where bare handles cannot be used. */
// Runs alone: SLUICE_NO_HANDLES counts when modules are loaded.
process.env.SLUICE_NO_HANDLES = '1'
await import('./tcp.test.ts')
