/** The same as in http2.test.ts where bare handles cannot be used. */
process.env.SLUICE_NO_HANDLES = '1'
await import('./http2.test.ts')
