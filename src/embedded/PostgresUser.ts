import { Effect } from "effect"
import { execFileSync, spawnSync } from "node:child_process"
import { EmbeddedServerError } from "./EmbeddedServerError.ts"

/**
 * Postgres refuses to run as root, and wants its user in the passwd database. So root runs it as `nobody`.
 *
 * A clone is often in a directory that nobody else may enter (/root, mktemp -d). There `nobody` keeps one right of
 * root's, to pass by file permissions (CAP_DAC_OVERRIDE, capabilities(7)), which is still far less than root has.
 * The secure bit makes access(2), by which initdb looks for its other programs, honour that right. Where it can't be
 * given, Postgres runs without, and the directory must be open to it.
 */
export interface PostgresUser {
  /** Goes before the command line of each Postgres program. */
  readonly prefix: ReadonlyArray<string>
  /** Whose the data directory must be; undefined: ours as it is. */
  readonly owner: { readonly uid: number; readonly gid: number } | undefined
}

/** `program`: one of Postgres', to try whether it can be run at all. */
export const choose = (program: string): Effect.Effect<PostgresUser, EmbeddedServerError> =>
  Effect.suspend((): Effect.Effect<PostgresUser, EmbeddedServerError> => {
    if (process.geteuid?.() !== 0) return Effect.succeed({ prefix: [], owner: undefined })
    const owner = { uid: idOf("-u"), gid: idOf("-g") }
    const asNobody = ["setpriv", `--reuid=${owner.uid}`, `--regid=${owner.gid}`, "--clear-groups"]
    const passing = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--securebits=+no_setuid_fixup"]
    const candidates = [[...asNobody, ...passing], asNobody]
    for (const prefix of candidates) {
      const [command, ...parameters] = [...prefix, program, "--version"]
      const { status } = spawnSync(command!, parameters, { stdio: "ignore", cwd: "/" })
      if (status === 0) return Effect.succeed({ prefix, owner })
    }
    return Effect.fail(
      new EmbeddedServerError({
        reason: "cannotPrepare",
        message: `Postgres does not run as root, and the user nobody can't run it from ${program}. ` +
          "Start as another user than root, move the project into a directory that everybody may enter (and install " +
          "setpriv, of util-linux), or set DATABASE_URL to a Postgres of yours."
      })
    )
  })

const idOf = (which: "-u" | "-g"): number => Number(execFileSync("id", [which, "nobody"], { encoding: "utf8" }))
