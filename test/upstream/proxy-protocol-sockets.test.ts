/** The same conversations as in proxy-protocol.test.ts where bare handles cannot be used. */
process.env.SLUICE_NO_HANDLES = '1'
await import('./proxy-protocol.test.ts')
