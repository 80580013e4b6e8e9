/** The same conversations as in tls.test.ts where OpenSSL cannot be called: TLS is Node's stream on a bare handle. */
// Runs alone: SLUICE_NO_FFI counts when modules are loaded.
process.env.SLUICE_NO_FFI = '1'
await import('./tls.test.ts')
