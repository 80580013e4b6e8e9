/** The same conversations as in tls.test.ts where OpenSSL cannot be called: TLS is Node's stream on a bare handle. */
// Runs with SLUICE_NO_FFI=1: it counts when modules are loaded.
process.env.SLUICE_NO_FFI = '1'
await import('./tls.test.ts')
