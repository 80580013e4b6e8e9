/** The same conversations as in tcp-termination.test.ts where bare handles cannot be used. */
process.env.SLUICE_NO_HANDLES = '1'
await import('./tcp-termination.test.ts')
