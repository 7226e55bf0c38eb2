/**
 * Ctrl-C and SIGTERM stop everything in order (the runtime hears them, too); whoever asks twice does not want to wait, and a closed
 * terminal is a SIGTERM. One Ctrl-C arrives twice under `npm start`: the terminal sends it to the whole process group, and npm passes
 * on its own; so does a SIGTERM to the group.
 */
export const listen = (): void => {
  let firstAt: number | undefined
  const stop = (signal: NodeJS.Signals): void => {
    const now = performance.now()
    if (isImpatient(firstAt, now)) process.exit(signal === "SIGINT" ? 130 : 143) // 128 + the signal's number, as shells say it
    if (firstAt === undefined && signal === "SIGINT") process.stderr.write("\nStopping; Ctrl-C again stops at once.\n")
    firstAt ??= now
  }
  process.on("SIGINT", stop)
  process.on("SIGTERM", stop)
  process.on("SIGHUP", () => process.kill(process.pid, "SIGTERM"))
}

/** What comes sooner is npm's echo, also on a busy machine; nobody has read by then that asking again stops at once. */
export const echoMillis = 500

/** Whether a signal asks for the second time. In milliseconds; undefined: nobody has asked yet. */
export const isImpatient = (firstAt: number | undefined, now: number): boolean => firstAt !== undefined && now - firstAt >= echoMillis
