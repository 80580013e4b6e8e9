/** Policies that decide who gets an answer, by their names: what a cache keeps is for those alone whom they let in. */
export const ACCESS_POLICIES: ReadonlySet<string> = new Set(['ipAccess', 'apiKey', 'basicAuth', 'jwt', 'forwardAuth', 'oidc'])
