/** The same conversations as in tcp-proxy-protocol.test.ts over sockets of Node's own. */
// Runs with SLUICE_NO_HANDLES=1: it counts when modules are loaded.
process.env.SLUICE_NO_HANDLES = '1'
await import('./tcp-proxy-protocol.test.ts')
