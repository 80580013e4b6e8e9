/** Who may come in by a name and a password, of basicAuth() and of the forward side. */

export interface Users {
  /**
   * Passwords by the names of users: plain text, or a hash: `$2y$…` (bcrypt, as `htpasswd -B` writes it), `$scrypt$ln=14,r=8,p=1$SALT$HASH` and
   * `$argon2id$…` (PHC strings), `{SHA}…`.
   */
  users?: Readonly<Record<string, string>> | undefined
  /**
   * A file of users with hashes of their passwords, as `htpasswd -B` writes it: a line `name:hash` each, and comments (`#`). From the folder of the config, up
   * to 2 MB. It is watched: another content counts for the next request, and one with a wrong line is told and changes nothing.
   */
  file?: string | undefined
  /**
   * Asked about names that neither `users` nor `file` has. It runs in each worker, for at most 5 seconds, 64 at a time: what takes longer, throws, or answers
   * with anything but true or false lets nobody in (500, reason `hook_failed`). A true is remembered for a minute, a false for 5 seconds.
   */
  check?: CheckUser | undefined
}

/** `client`: its address. */
export type CheckUser = (name: string, password: string, from: { readonly client: string }) => boolean | Promise<boolean>
