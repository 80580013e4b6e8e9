/** The same conversations as in tcp.test.ts where bare handles cannot be used. */
process.env.SLUICE_NO_HANDLES = '1'
await import('./tcp.test.ts')
