/** The same conversations as in tcp-termination.test.ts where bare handles cannot be used. */
// Runs with SLUICE_NO_HANDLES=1: it counts when modules are loaded.
process.env.SLUICE_NO_HANDLES = '1'
await import('./tcp-termination.test.ts')
