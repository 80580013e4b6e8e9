/** The same conversations as in proxy-protocol.test.ts where bare handles cannot be used. */
// Runs with SLUICE_NO_HANDLES=1: it counts when modules are loaded.
process.env.SLUICE_NO_HANDLES = '1'
await import('./proxy-protocol.test.ts')
