/** The same sessions as in udp.test.ts over sockets of Node's own. */
// Runs with SLUICE_NO_HANDLES=1: it counts when modules are loaded.
process.env.SLUICE_NO_HANDLES = '1'
await import('./udp.test.ts')
