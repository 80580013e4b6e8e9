/** The same conversations as in tcp-proxy-protocol.test.ts over sockets of Node's own. */
// Runs alone: SLUICE_NO_HANDLES counts when modules are loaded.
process.env.SLUICE_NO_HANDLES = '1'
await import('./tcp-proxy-protocol.test.ts')
